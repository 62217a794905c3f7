import { mkdir, readdir, symlink } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { SafetensorsFile, encodeSafetensors } from '../../../main/models/formats/safetensors'
import { failureOf, useScratch } from '../scratch'
import { f32, gguf, pair, smallGguf, text, u32 } from './gguf/build'

const scratch = useScratch()
const cases = path.join(import.meta.dirname, '../../reference/cases')
const weights = (...tensors: [string, number][]) =>
  encodeSafetensors(tensors.map(([name, value]) => ({ name, shape: [1], data: Float32Array.of(value) })))
const index = (map: Record<string, unknown>) => JSON.stringify({ metadata: {}, weight_map: map })

describe('opening a folder', () => {
  it('reads bfloat16 shards by their index: the rows of the embedding are those of the reference', async () => {
    const folder = path.join(cases, 'architectures/llama_bf16_sharded')
    const checkpoint = await openCheckpoint(folder)
    expect(checkpoint.format).toBe('safetensors')
    expect(checkpoint.files.map((file) => path.basename(file))).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ])
    expect(checkpoint.config).toMatchObject({ model_type: 'llama' })
    expect(checkpoint.warnings).toEqual([])
    const embedding = checkpoint.tensors.get('model.embed_tokens.weight')
    expect(embedding?.storage).toBe('BF16')
    const rows = await checkpoint.readFloat32('model.embed_tokens.weight')
    const width = embedding?.shape[1] ?? 0
    const reference = await SafetensorsFile.open(path.join(folder, 'reference.safetensors'))
    const embedded = await reference.readFloat32('blocks.0.hook_resid_pre')
    const ids = await reference.readInt64('input_ids')
    ids.forEach((id, position) => {
      const row = rows.subarray(Number(id) * width, (Number(id) + 1) * width)
      expect(row).toEqual(embedded.subarray(position * width, (position + 1) * width))
    })
    expect(ids.length).toBeGreaterThan(4)
    await reference.close()
    await checkpoint.close()
  })

  it('takes model.safetensors and config.json, whatever other weights lie there', async () => {
    await scratch.write('model.safetensors', weights(['a', 1]))
    await scratch.write('reference.safetensors', weights(['b', 2]))
    await scratch.write('config.json', '{"model_type":"x","limit":Infinity}')
    const checkpoint = await openCheckpoint(scratch.folder)
    expect([...checkpoint.tensors.keys()]).toEqual(['a'])
    expect(checkpoint.config).toEqual({ model_type: 'x', limit: Infinity })
    await checkpoint.close()
  })

  it('takes the only weight file, and has no config where there is none', async () => {
    await scratch.write('weights.safetensors', weights(['a', 1]))
    const checkpoint = await openCheckpoint(scratch.folder)
    expect(checkpoint.config).toBeUndefined()
    await checkpoint.close()
  })

  it('takes the only GGUF file', async () => {
    await scratch.write('m.gguf', smallGguf())
    const checkpoint = await openCheckpoint(scratch.folder)
    expect(checkpoint.format).toBe('gguf')
    await checkpoint.close()
  })

  it('says what is missing where there are no weights, or which there are where there are several', async () => {
    expect(await failureOf(() => openCheckpoint(scratch.folder))).toMatchObject({ code: 'file.missing' })
    await scratch.write('a.safetensors', weights(['a', 1]))
    await scratch.write('b.gguf', smallGguf())
    const error = await failureOf(() => openCheckpoint(scratch.folder))
    expect(error).toMatchObject({ code: 'file.missing' })
    expect(error.message).toMatch(/2 weight files.*a\.safetensors/)
  })

  it('follows the symbolic links of a hub cache, and names the real files', async () => {
    const blobs = path.join(scratch.folder, 'blobs')
    const snapshot = path.join(scratch.folder, 'snapshots/abc')
    await mkdir(blobs)
    await mkdir(snapshot, { recursive: true })
    await scratch.write('blobs/1111', weights(['a', 1]))
    await scratch.write('blobs/2222', '{"model_type":"x"}')
    await scratch.write('blobs/3333', index({ a: 'm-00001-of-00001.safetensors' }))
    await symlink('../../blobs/1111', path.join(snapshot, 'm-00001-of-00001.safetensors'))
    await symlink('../../blobs/2222', path.join(snapshot, 'config.json'))
    await symlink('../../blobs/3333', path.join(snapshot, 'model.safetensors.index.json'))
    for (const chosen of [snapshot, path.join(snapshot, 'm-00001-of-00001.safetensors')]) {
      const checkpoint = await openCheckpoint(chosen)
      expect(checkpoint.files.map((file) => path.basename(file))).toEqual(['1111'])
      expect(checkpoint.tensors.get('a')?.file).toBe(checkpoint.files[0])
      expect(checkpoint.config).toEqual({ model_type: 'x' })
      expect(await checkpoint.readFloat32('a')).toEqual(Float32Array.of(1))
      await checkpoint.close()
    }
  })
})

describe('a sharded checkpoint that does not hold together', () => {
  it.each(['../x.safetensors', '/etc/passwd', 'a/b.safetensors', '..', '', 'a\\b', 'C:x', 'a\u0000b'])(
    'refuses an index that names %j',
    async (shard) => {
      await scratch.write('model.safetensors.index.json', index({ a: shard }))
      const error = await failureOf(() => openCheckpoint(scratch.folder))
      expect(error).toMatchObject({ code: 'file.outside', field: 'a' })
    },
  )

  it('names the shard that is not there', async () => {
    await scratch.write('model.safetensors.index.json', index({ a: 'gone.safetensors' }))
    const error = await failureOf(() => openCheckpoint(scratch.folder))
    expect(error).toMatchObject({ code: 'model.incomplete', field: 'gone.safetensors' })
  })

  it('names the tensor that its shard does not have', async () => {
    await scratch.write('one.safetensors', weights(['a', 1]))
    await scratch.write('model.safetensors.index.json', index({ a: 'one.safetensors', b: 'one.safetensors' }))
    const error = await failureOf(() => openCheckpoint(scratch.folder))
    expect(error).toMatchObject({ code: 'model.incomplete', field: 'b' })
  })

  it('reads each tensor from where the index places it, and warns of others', async () => {
    await scratch.write('one.safetensors', weights(['a', 1], ['b', 10]))
    await scratch.write('two.safetensors', weights(['b', 2]))
    await scratch.write('model.safetensors.index.json', index({ a: 'one.safetensors', b: 'two.safetensors' }))
    const checkpoint = await openCheckpoint(scratch.folder)
    expect(await checkpoint.readFloat32('b')).toEqual(Float32Array.of(2))
    expect(checkpoint.warnings).toEqual([expect.stringMatching(/"one\.safetensors" has 1 tensors.*"b"/)])
    await checkpoint.close()
  })

  it.each([
    ['no weight_map', '{}', 'file.malformed'],
    ['a weight_map that is a list', '{"weight_map":[]}', 'file.malformed'],
    ['a shard that is a number', index({ a: 1 }), 'file.malformed'],
    ['a tensor named twice', '{"weight_map":{"a":"x","a":"y"}}', 'file.malformed'],
    ['text that is no JSON', '{"weight_map":', 'file.malformed'],
    ['bytes that are no text', Uint8Array.of(0x7b, 0xff), 'file.malformed'],
  ])('refuses an index with %s', async (_, content, code) => {
    await scratch.write('model.safetensors.index.json', content)
    const error = await failureOf(() => openCheckpoint(scratch.folder))
    expect(error).toMatchObject({ code })
    expect(error.file).toMatch(/index\.json$/)
  })

  it('refuses a config.json that is no JSON, naming the byte', async () => {
    await scratch.write('model.safetensors', weights(['a', 1]))
    await scratch.write('config.json', '{"a": 1,}')
    expect(await failureOf(() => openCheckpoint(scratch.folder))).toMatchObject({
      code: 'file.malformed',
      offset: 8,
    })
  })
})

describe('opening a file', () => {
  it('goes by content where the name says nothing', async () => {
    for (const [name, bytes, format] of [
      ['sha256-1', smallGguf(), 'gguf'],
      ['sha256-2', weights(['a', 1]), 'safetensors'],
    ] as const) {
      const checkpoint = await openCheckpoint(await scratch.write(name, bytes))
      expect(checkpoint.format).toBe(format)
      await checkpoint.close()
    }
  })

  it('refuses what is neither, and what is not there', async () => {
    const picture = await scratch.write('cat.png', Uint8Array.of(0x89, 0x50, 0x4e, 0x47))
    expect(await failureOf(() => openCheckpoint(picture))).toMatchObject({ code: 'file.malformed' })
    expect(await failureOf(() => openCheckpoint(`${picture}.gone`))).toMatchObject({ code: 'file.missing' })
    expect(await failureOf(() => openCheckpoint(`${picture}/inside`))).toMatchObject({ code: 'file.missing' })
  })

  it('opens every GGUF reference and reads all of its tensors', async () => {
    const folder = path.join(cases, 'gguf')
    for (const name of (await readdir(folder)).filter((file) => file.endsWith('.gguf'))) {
      const checkpoint = await openCheckpoint(path.join(folder, name))
      expect(checkpoint.warnings).toEqual([])
      for (const [tensor, { shape }] of checkpoint.tensors)
        expect((await checkpoint.readFloat32(tensor)).length).toBe(shape.reduce((a, b) => a * b, 1))
      await checkpoint.close()
    }
  })
})

describe('a GGUF model in parts', () => {
  const part = (no: number, count: number, name: string, value: number, total = 2) =>
    gguf({
      pairs: [
        pair('split.no', 'uint16', u32(no).subarray(0, 2)),
        pair('split.count', 'uint16', u32(count).subarray(0, 2)),
        pair('split.tensors.count', 'int32', u32(total)),
        ...(no === 0 ? [pair('general.architecture', 'string', text('llama'))] : []),
      ],
      tensors: [{ name, dimensions: [1], type: 0, offset: 0 }],
      data: f32(value),
    })

  it('opens as a whole from any part, or from its folder', async () => {
    await scratch.write('m-00001-of-00002.gguf', part(0, 2, 'a', 1))
    const second = await scratch.write('m-00002-of-00002.gguf', part(1, 2, 'b', 2))
    for (const chosen of [second, scratch.folder]) {
      const checkpoint = await openCheckpoint(chosen)
      expect(checkpoint.files).toHaveLength(2)
      expect(checkpoint.metadata.get('general.architecture')).toEqual({ type: 'string', value: 'llama' })
      expect(await checkpoint.readFloat32('a')).toEqual(Float32Array.of(1))
      expect(await checkpoint.readFloat32('b')).toEqual(Float32Array.of(2))
      await checkpoint.close()
    }
  })

  it('names the part that is not there', async () => {
    const first = await scratch.write('m-00001-of-00002.gguf', part(0, 2, 'a', 1))
    const error = await failureOf(() => openCheckpoint(first))
    expect(error).toMatchObject({ code: 'model.incomplete' })
    expect(error.message).toContain('m-00002-of-00002.gguf')
  })

  it('refuses parts that do not belong together', async () => {
    const first = await scratch.write('m-00001-of-00002.gguf', part(0, 2, 'a', 1))
    await scratch.write('m-00002-of-00002.gguf', part(1, 2, 'a', 2))
    expect(await failureOf(() => openCheckpoint(first))).toMatchObject({ code: 'file.malformed', field: 'a' })
    await scratch.write('m-00002-of-00002.gguf', part(0, 2, 'b', 2))
    expect(await failureOf(() => openCheckpoint(first))).toMatchObject({
      code: 'file.malformed',
      field: 'split.no',
    })
    await scratch.write('m-00001-of-00002.gguf', part(0, 2, 'a', 1, 3))
    await scratch.write('m-00002-of-00002.gguf', part(1, 2, 'b', 2))
    expect(await failureOf(() => openCheckpoint(first))).toMatchObject({ code: 'model.incomplete' })
    const renamed = await scratch.write('renamed.gguf', part(0, 2, 'a', 1))
    expect(await failureOf(() => openCheckpoint(renamed))).toMatchObject({ field: 'split.count' })
  })
})
