/**
 * The cache is shared with Python's huggingface_hub, so where that is installed it has the word: it reads what we wrote,
 * and we read what it wrote. PATCHBAY_PYTHON names a Python that has it; default `python3`.
 */
import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { modelFiles, modelId, useHub } from './use-hub'

const python = process.env['PATCHBAY_PYTHON'] ?? 'python3'
const hasHub = spawnSync(python, ['-c', 'import huggingface_hub']).status === 0
if (!hasHub)
  console.warn(`Skipped: ${python} has no huggingface_hub, so the shared cache is not compared with it.`)

const test = useHub()
const names = ['config.json', 'tokenizer.json', 'model.safetensors']

async function run(program: string, more: Record<string, string> = {}): Promise<unknown> {
  const env = {
    ...test.env,
    PATH: process.env['PATH'],
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_DISABLE_XET: '1',
    ...more,
  }
  const lines = ['import json', 'from huggingface_hub import *', `id = ${JSON.stringify(modelId)}`, program]
  const { stdout } = await promisify(execFile)(python, ['-c', lines.join('\n')], { env })
  return JSON.parse(stdout)
}

describe.skipIf(!hasHub)('the cache', () => {
  it('that Patchbay wrote is whole and in order for Python, offline', async () => {
    const { commit } = test.server.add(modelId, modelFiles)
    const { folder } = await test.hub.download(await test.plan())
    const seen = await run(
      `info = scan_cache_dir()
repo, = info.repos
revision, = repo.revisions
print(json.dumps({
  "warnings": [str(w) for w in info.warnings],
  "repo": repo.repo_id, "commit": revision.commit_hash, "refs": sorted(revision.refs), "bytes": repo.size_on_disk,
  "files": sorted(f.file_name for f in revision.files),
  "snapshot": snapshot_download(id),
  "file": hf_hub_download(id, "model.safetensors"),
}))`,
      { HF_HUB_OFFLINE: '1' },
    )
    expect(seen).toEqual({
      warnings: [],
      repo: modelId,
      commit,
      refs: ['main'],
      bytes: names.reduce((sum, name) => sum + modelFiles[name as keyof typeof modelFiles].length, 0),
      files: names.toSorted(),
      snapshot: folder,
      file: `${folder}/model.safetensors`,
    })
  })

  it('that Patchbay began is no trouble for Python, which ends the download', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const controller = new AbortController()
    test.server.misbehave(/^\/store\//, (_, response) => {
      response.writeHead(200)
      response.write(Buffer.alloc(1000), () => setImmediate(() => controller.abort()))
    })
    await expect(test.hub.download(plan, { signal: controller.signal })).rejects.toThrow(/cancelled/)
    const warnings = await run(
      `for name in ${JSON.stringify(names)}: hf_hub_download(id, name)
print(json.dumps([str(w) for w in scan_cache_dir().warnings]))`,
    )
    expect(warnings).toEqual([])
    expect((await test.plan()).bytesToFetch).toBe(0)
  })

  it('that Python wrote is listed, and nothing of it is fetched again', async () => {
    test.server.add(modelId, modelFiles)
    await run(`print(json.dumps([hf_hub_download(id, name) for name in ${JSON.stringify(names)}]))`)
    const { models } = await test.hub.listCached()
    expect(models.map(({ repoId, refs, support }) => [repoId, refs, support.canOpen])).toEqual([
      [modelId, ['main'], 'yes'],
    ])
    const plan = await test.plan()
    expect(plan.bytesToFetch).toBe(0)
    expect(await test.open({ offline: true }).download(plan)).toEqual({
      folder: models[0].folder,
      path: models[0].path,
    })
  })
})
