/** The cache as huggingface_hub leaves it, in good and in bad order. */
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { cachedModels } from '../../../preload/hub'
import { config, expectSupport, modelFiles, modelId, useHub, weights } from './use-hub'

const test = useHub()
const commit = 'c'.repeat(40)

/** Lays a snapshot out as Python does: blobs and links; a content of null is a link to nothing. */
async function lay(
  folder: string,
  files: Record<string, string | Uint8Array | null>,
  refs: Record<string, string> = { main: commit },
  cache = test.cache,
): Promise<void> {
  const root = path.join(cache, folder)
  await mkdir(path.join(root, 'blobs'), { recursive: true })
  await mkdir(path.join(root, 'snapshots', commit), { recursive: true })
  let n = 0
  for (const [name, content] of Object.entries(files)) {
    const blob = path.join(root, 'blobs', `blob${n++}`)
    if (content !== null) await writeFile(blob, content)
    const pointer = path.join(root, 'snapshots', commit, name)
    await mkdir(path.dirname(pointer), { recursive: true })
    await symlink(path.relative(path.dirname(pointer), blob), pointer)
  }
  for (const [name, at] of Object.entries(refs)) {
    await mkdir(path.dirname(path.join(root, 'refs', name)), { recursive: true })
    await writeFile(path.join(root, 'refs', name), at)
  }
}

const index = JSON.stringify({
  weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
})

describe('the list of cached models', () => {
  it('is empty where there is no cache', async () => {
    expect(await test.hub.listCached()).toEqual({ models: [], broken: [] })
  })

  it('has what a download brought', async () => {
    test.server.add(modelId, modelFiles)
    const { folder } = await test.hub.download(await test.plan())
    const { models, broken } = cachedModels.parse(await test.hub.listCached())
    expect(broken).toEqual([])
    expect(models).toHaveLength(1)
    expect(models[0]).toMatchObject({
      repoId: modelId,
      commit: path.basename(folder),
      refs: ['main'],
      folder,
      path: folder,
      format: 'safetensors',
      bytes: weights.length,
      modelType: 'llama',
      support: { canOpen: 'yes', reason: null },
    })
    expect(Date.parse(models[0].modified)).toBeGreaterThan(0)
  })

  it('finds what Python laid there, in all caches of the machine, and nothing else', async () => {
    await lay(
      'models--gpt2',
      { 'config.json': '{"model_type": "gpt2"}', 'model.safetensors': weights },
      { main: commit, 'refs/pr/1': commit },
    )
    await lay('models--owner--sharded', {
      'config.json': config,
      'model.safetensors.index.json': index,
      'model-00001-of-00002.safetensors': 'aa',
      'model-00002-of-00002.safetensors': 'bbb',
    })
    await lay('models--owner--quants', { 'Q4/x-Q4_0.gguf': 'gguf', 'README.md': 'x' }, {})
    await lay('datasets--owner--data', { 'model.safetensors': weights })
    await lay('models--..--evil', { 'model.safetensors': weights })
    await mkdir(path.join(test.cache, '.locks', 'models--gpt2'), { recursive: true })
    await writeFile(path.join(test.cache, 'version.txt'), '1')
    const elsewhere = path.join(test.env['HOME'] ?? '', '.cache', 'huggingface', 'hub')
    await lay('models--owner--elsewhere', { 'model.safetensors': weights }, {}, elsewhere)

    const { models, broken } = await test.hub.listCached()
    expect(broken).toEqual([])
    expect(models.map(({ repoId, refs, format, bytes }) => [repoId, refs, format, bytes])).toEqual([
      ['gpt2', ['main', 'refs/pr/1'], 'safetensors', weights.length],
      ['owner/quants', [], 'gguf', 4],
      ['owner/sharded', ['main'], 'safetensors', index.length + 5],
      ['owner/elsewhere', [], 'safetensors', weights.length],
    ])
    expect(models[1].path).toBe(path.join(models[1].folder, 'Q4', 'x-Q4_0.gguf'))
    expect(models[1].support.canOpen).toBe('unknown')
  })

  it.each([
    [
      'a shard that is not there yet',
      {
        'config.json': config,
        'model.safetensors.index.json': index,
        'model-00001-of-00002.safetensors': 'a',
        'model-00002-of-00002.safetensors': null,
      },
      /model-00002-of-00002\.safetensors is not there: its download was not finished/,
    ],
    [
      'an index that is cut off',
      { 'config.json': config, 'model.safetensors.index.json': index.slice(0, 20) },
      /model\.safetensors\.index\.json/,
    ],
    [
      'an index that names a path',
      { 'config.json': config, 'model.safetensors.index.json': '{"weight_map": {"a": "../../x"}}' },
      /names no files of its folder/,
    ],
    [
      'a config.json that is a word',
      { 'config.json': '"yes"', 'model.safetensors': weights },
      /config\.json: holds no object/,
    ],
    [
      'a config.json nested without end',
      { 'config.json': '['.repeat(9000), 'model.safetensors': weights },
      /nested more than 64 deep/,
    ],
    ['no config.json', { 'model.safetensors': weights }, /no config\.json/],
    [
      'an architecture that is not known',
      { 'config.json': '{"model_type": "t5"}', 'model.safetensors': weights },
      /"t5" is not among/,
    ],
  ])('says what is wrong with %s', async (_, files, reason) => {
    await lay('models--owner--broken', files)
    await lay('models--owner--whole', { 'config.json': config, 'model.safetensors': weights })
    const { models } = await test.hub.listCached()
    expect(models.map(({ repoId }) => repoId)).toEqual(['owner/broken', 'owner/whole'])
    expectSupport(models[0].support, 'no', reason)
    expect(models[1].support).toEqual({ canOpen: 'yes', reason: null })
  })

  it('leaves out models of which no weights are there', async () => {
    await lay('models--owner--begun', { 'config.json': config, 'model.safetensors': null })
    await mkdir(path.join(test.cache, 'models--owner--empty'), { recursive: true })
    await writeFile(path.join(test.cache, 'models--owner--file'), 'x')
    expect(await test.hub.listCached()).toEqual({ models: [], broken: [] })
  })

  it.skipIf(process.getuid?.() === 0)(
    'names a folder that may not be read, and lists the others',
    async () => {
      await lay('models--owner--closed', { 'model.safetensors': weights })
      await lay('models--owner--whole', { 'config.json': config, 'model.safetensors': weights })
      const closed = path.join(test.cache, 'models--owner--closed', 'snapshots')
      await chmod(closed, 0)
      const { models, broken } = await test.hub.listCached()
      await chmod(closed, 0o700)
      expect(models.map(({ repoId }) => repoId)).toEqual(['owner/whole'])
      expect(broken.map(({ error }) => error.code)).toEqual(['file.unreadable'])
    },
  )

  it('names a repository whose links go in a circle, and lists the others', async () => {
    await lay('models--owner--whole', { 'config.json': config, 'model.safetensors': weights })
    const snapshot = path.join(test.cache, 'models--owner--circle', 'snapshots', commit)
    await mkdir(snapshot, { recursive: true })
    await symlink('model.safetensors', path.join(snapshot, 'model.safetensors'))
    const { models, broken } = await test.hub.listCached()
    expect(models.map(({ repoId }) => repoId)).toEqual(['owner/whole'])
    expect(broken.map(({ folder, error }) => [path.basename(folder), error.code])).toEqual([
      ['models--owner--circle', 'file.unreadable'],
    ])
  })
})
