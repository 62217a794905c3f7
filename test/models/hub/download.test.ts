import { lstat, mkdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { linkFile } from '../../../main/models/hub/cache/link'
import { RepoCache } from '../../../main/models/hub/cache/layout'
import { openCheckpoint } from '../../../main/models/formats/open'
import { downloadPlan, downloadProgress, type DownloadProgress } from '../../../preload/hub'
import { failureOf } from '../scratch'
import { gitHash, sha256, weightBytes } from './fake-hub'
import { config, contentOf, incomplete, modelFiles, modelId, useHub, weights } from './use-hub'

const test = useHub()

describe('a download', () => {
  it('lays the files into the cache as huggingface_hub does', async () => {
    const { commit } = test.server.add(modelId, modelFiles)
    const { folder, path: opened } = await test.hub.download(await test.plan())
    const root = 'models--owner--tiny-model'
    expect(opened).toBe(folder)
    expect(folder).toBe(path.join(test.cache, root, 'snapshots', commit))
    expect(sha256(await contentOf(folder, 'model.safetensors'))).toBe(sha256(weights))
    expect(await readlink(path.join(folder, 'model.safetensors'))).toBe(`../../blobs/${sha256(weights)}`)
    expect(await readlink(path.join(folder, 'config.json'))).toBe(
      `../../blobs/${gitHash(Buffer.from(config))}`,
    )
    expect(await readFile(path.join(test.cache, root, 'refs', 'main'), 'utf8')).toBe(commit)
    const blobs = [config, modelFiles['tokenizer.json']].map((text) => gitHash(Buffer.from(text)))
    expect((await test.files()).filter((name) => !name.endsWith('/') && name.startsWith(root))).toEqual(
      [
        ...[...blobs, sha256(weights)].map((hash) => `${root}/blobs/${hash}`),
        `${root}/refs/main`,
        ...['config.json', 'model.safetensors', 'tokenizer.json'].map(
          (name) => `${root}/snapshots/${commit}/${name}`,
        ),
      ].sort(),
    )
  })

  it('brings a model that opens', async () => {
    const source = new URL('../../../assets/models/storyworld/', import.meta.url)
    const names = [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'chat_template.jinja',
    ]
    const files = await Promise.all(
      names.map(async (name) => [name, await readFile(new URL(name, source))] as const),
    )
    test.server.add('owner/storyworld', Object.fromEntries(files))
    const plan = await test.plan('owner/storyworld')
    expect(plan.support).toEqual({ canOpen: 'yes', reason: null })
    const { path: opened } = await test.hub.download(plan)
    const checkpoint = await openCheckpoint(opened)
    expect(checkpoint.tensors.size).toBeGreaterThan(10)
    await checkpoint.close()
  })

  it('reads small files from the hub, large ones from its store, and asks for nothing twice', async () => {
    const { commit } = test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const before = test.server.requests.length
    await test.hub.download(plan)
    await test.hub.download(plan)
    const asked = test.server.requests
      .slice(before)
      .map(({ method, path: address }) => `${method} ${address}`)
    expect(asked).toEqual([
      `GET /${modelId}/resolve/${commit}/config.json`,
      `GET /${modelId}/resolve/${commit}/tokenizer.json`,
      `GET /${modelId}/resolve/${commit}/model.safetensors`,
      `GET /store/${sha256(weights)}?signature=s3cr3t`,
    ])
  })

  it('tells how far it is, and ends at the whole', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const told: DownloadProgress[] = []
    await test.hub.download(plan, { onProgress: (progress) => told.push(downloadProgress.parse(progress)) })
    expect(told.map(({ phase, file }) => `${phase} ${file}`)).toEqual(
      expect.arrayContaining([
        'downloading config.json',
        'verifying config.json',
        'downloading model.safetensors',
        'verifying model.safetensors',
        'finishing null',
      ]),
    )
    const total = weights.length + config.length + modelFiles['tokenizer.json'].length
    expect(told.at(-1)).toMatchObject({ phase: 'finishing', done: total, total })
    const done = told.map((progress) => progress.done)
    expect(done).toEqual(done.toSorted((a, b) => a - b))
  })

  it('fetches only what is not there', async () => {
    test.server.add(modelId, modelFiles)
    await test.hub.download(await test.plan())
    test.server.add(modelId, { ...modelFiles, 'config.json': `${config} ` })
    const plan = await test.plan()
    expect(plan.files.filter((file) => !file.cached).map((file) => file.name)).toEqual(['config.json'])
    expect(plan.bytesToFetch).toBe(config.length + 1)
    const before = test.server.downloads().length
    await test.hub.download(plan)
    expect(test.server.downloads()).toHaveLength(before + 1)
  })

  it('replaces a blob of the wrong length and a link that leads elsewhere', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const { folder } = await test.hub.download(plan)
    await writeFile(path.join(test.cache, 'models--owner--tiny-model', 'blobs', sha256(weights)), 'short')
    await rm(path.join(folder, 'config.json'))
    await symlink('../../blobs/nothing', path.join(folder, 'config.json'))
    await test.hub.download(plan)
    expect(sha256(await contentOf(folder, 'model.safetensors'))).toBe(sha256(weights))
    expect((await contentOf(folder, 'config.json')).toString()).toBe(config)
  })

  it('takes files in folders, files of the same content, and empty ones', async () => {
    const files = {
      'config.json': config,
      'vocab.txt': '',
      'chat_template.jinja': 'same',
      'merges.txt': 'same',
      'model.safetensors': weights,
    }
    test.server.add(modelId, files)
    const { folder } = await test.hub.download(await test.plan())
    for (const [name, content] of Object.entries(files))
      expect(sha256(await contentOf(folder, name))).toBe(sha256(Buffer.from(content)))
  })

  it('opens a chosen GGUF file in a folder of the repository', async () => {
    const gguf = weightBytes(20_000, 7)
    test.server.add('owner/quants', { 'Q4_K_M/model-Q4_K_M.gguf': gguf, 'model-Q8_0.gguf': weights })
    const plan = await test.hub.planDownload({ repoId: 'owner/quants', weights: 'Q4_K_M/model-Q4_K_M.gguf' })
    const { folder, path: opened } = await test.hub.download(plan)
    expect(opened).toBe(path.join(folder, 'Q4_K_M', 'model-Q4_K_M.gguf'))
    expect(sha256(await readFile(opened))).toBe(sha256(gguf))
    expect(await readlink(opened)).toBe(`../../../blobs/${sha256(gguf)}`)
  })

  it('keeps a revision with slashes below refs', async () => {
    const { commit } = test.server.add(modelId, modelFiles)
    await test.hub.download(await test.hub.planDownload({ repoId: modelId, revision: 'refs/pr/1' }))
    const ref = path.join(test.cache, 'models--owner--tiny-model', 'refs', 'refs', 'pr', '1')
    expect(await readFile(ref, 'utf8')).toBe(commit)
    expect(test.server.requests[0].path).toBe(`/api/models/${modelId}/revision/refs%2Fpr%2F1?blobs=true`)
  })

  it('writes no ref for a commit', async () => {
    const { commit } = test.server.add(modelId, modelFiles)
    await test.hub.download(await test.hub.planDownload({ repoId: modelId, revision: commit }))
    expect((await test.files()).filter((name) => name.includes('/refs/'))).toEqual([])
  })

  it('moves or copies where the system makes no links, and still finds the files', async () => {
    const cache = new RepoCache(test.cache, modelId)
    const commit = 'a'.repeat(40)
    await mkdir(cache.blobs, { recursive: true })
    const noLinks = () => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' }))
    for (const [name, size] of [
      ['small.json', 100],
      ['large.safetensors', (16 << 20) + 1],
    ] as const) {
      const content = Buffer.alloc(size, 1)
      const file = { name, bytes: size, hash: sha256(content) }
      await writeFile(cache.blob(file.hash), content)
      await linkFile(cache, commit, file, noLinks)
      await linkFile(cache, commit, file, noLinks)
      expect((await lstat(cache.pointer(commit, name))).isFile()).toBe(true)
      expect((await readFile(cache.pointer(commit, name))).equals(content)).toBe(true)
    }
    expect(incomplete(await test.files())).toEqual([])
  })
})

describe('a plan that comes back', () => {
  it.each([
    [
      'a file name that leaves the folder',
      { files: [{ name: '../../x', bytes: 1, hash: 'a'.repeat(40), cached: false }] },
    ],
    ['a hash that is a path', { files: [{ name: 'x', bytes: 1, hash: '../../../x', cached: false }] }],
    ['a repository that is a path', { repoId: '../x' }],
    ['a commit that is a path', { commit: '../../../../../../../../../../../../x' }],
    ['a revision that is a path', { revision: '../../x' }],
    ['negative sizes', { files: [{ name: 'x', bytes: -1, hash: 'a'.repeat(40), cached: false }] }],
    ['no weights', { weights: null }],
    ['weights that are not among its files', { weights: 'other.safetensors' }],
  ])('is refused with %s', async (_, change) => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    expect(downloadPlan.safeParse(plan).success).toBe(true)
    const error = await failureOf(() => test.hub.download({ ...plan, ...change }))
    expect(error.code).toBe('input.invalid')
    expect(await test.files()).toEqual([])
  })
})
