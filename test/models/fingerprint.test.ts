import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, rename, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { DigestCache } from '../../main/models/digest-cache'
import { fingerprint } from '../../main/models/fingerprint'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import { encodeSafetensors } from '../../main/models/formats/safetensors'
import { failureOf, useScratch } from './scratch'

const scratch = useScratch()
const weights = (...values: number[]) =>
  encodeSafetensors([{ name: 'a', shape: [values.length], data: Float32Array.from(values) }])

async function model(name: string, bytes: Uint8Array, config?: string): Promise<string> {
  await mkdir(path.join(scratch.folder, name), { recursive: true })
  if (config !== undefined) await scratch.write(`${name}/config.json`, config)
  await scratch.write(`${name}/model.safetensors`, bytes)
  return path.join(scratch.folder, name)
}

async function fingerprintOf(
  folder: string,
  options: Parameters<typeof fingerprint>[1] = {},
): Promise<string> {
  const checkpoint = await openCheckpoint(folder)
  try {
    return await fingerprint(checkpoint, options)
  } finally {
    await checkpoint.close()
  }
}

describe('a fingerprint', () => {
  it('is 64 hex digits, and equal for a copy elsewhere, however its config is written', async () => {
    const first = await fingerprintOf(
      await model('one', weights(1, 2), '{"a": 1, "b": [1e3, {"c": Infinity}]}'),
    )
    const copy = await model(
      'two',
      weights(1, 2),
      ' { "_name_or_path": "me/two", "b" : [1000,{"c":Infinity}], "a":1.0 }',
    )
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    expect(await fingerprintOf(copy)).toBe(first)
  })

  it('differs where weights, config or container do', async () => {
    const all = [
      await fingerprintOf(await model('a', weights(1, 2), '{"x": 1}')),
      await fingerprintOf(await model('b', weights(1, 3), '{"x": 1}')),
      await fingerprintOf(await model('c', weights(1, 2), '{"x": 2}')),
      await fingerprintOf(await model('d', weights(1, 2), '{"x": "1"}')),
      await fingerprintOf(await model('e', weights(1, 2), '{"x": NaN}')),
      await fingerprintOf(await model('f', weights(1, 2))),
      await fingerprint({
        format: 'gguf',
        files: [path.join(scratch.folder, 'f/model.safetensors')],
        config: undefined,
        tensors: new Map(),
      }),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  it('stays what it is from version to version', async () => {
    const folder = await model('fixed', weights(1), '{"model_type":"x","n":2}')
    const digest = createHash('sha256')
      .update(await readFile(path.join(folder, 'model.safetensors')))
      .digest('hex')
    const description = `{"config":{"model_type":"x","n":2},"format":"safetensors","recipe":"patchbay.fingerprint.1","weights":["${digest}"]}`
    expect(await fingerprintOf(folder)).toBe(createHash('sha256').update(description).digest('hex'))
  })

  it('tells how far it is, and can be cancelled', async () => {
    const folder = await model(
      'big',
      encodeSafetensors([{ name: 'a', shape: [2_000_000], data: new Float32Array(2_000_000) }]),
    )
    const seen: number[] = []
    await fingerprintOf(folder, { onProgress: (done, total) => seen.push(done / total) })
    expect(seen.length).toBeGreaterThan(2)
    expect(seen.at(-1)).toBe(1)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    const controller = new AbortController()
    const cancelled = fingerprintOf(folder, {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    })
    expect((await failureOf(() => cancelled)).code).toBe('run.cancelled')
  })

  it('fails with a typed error where a file is gone', async () => {
    const files = [path.join(scratch.folder, 'gone')]
    const gone = { format: 'gguf' as const, files, config: undefined, tensors: new Map<string, never>() }
    expect(await failureOf(() => fingerprint(gone))).toMatchObject({ code: 'file.missing' })
  })
})

describe('the digest cache', () => {
  const cacheFile = () => path.join(scratch.folder, 'state/digests.json')
  /** Changes the stored digest, so that a fingerprint made from the cache shows. */
  const spoil = async () => {
    const text = await readFile(cacheFile(), 'utf8')
    await writeFile(cacheFile(), text.replace(/"sha256": "[0-9a-f]{64}"/, `"sha256": "${'0'.repeat(64)}"`))
  }

  it('saves reading a file again, until its time, size, inode or place changes', async () => {
    const folder = await model('m', weights(1, 2))
    const file = path.join(folder, 'model.safetensors')
    const options = { cacheFile: cacheFile() }
    const first = await fingerprintOf(folder, options)
    await spoil()
    const spoilt = await fingerprintOf(folder, options)
    expect(spoilt).not.toBe(first)

    await utimes(file, 1, 1)
    expect(await fingerprintOf(folder, options)).toBe(first)

    await spoil()
    await copyFile(file, `${file}.copy`)
    await rename(`${file}.copy`, file)
    await utimes(file, 1, 1)
    expect(await fingerprintOf(folder, options)).toBe(first)

    await spoil()
    await rename(folder, `${folder}-moved`)
    expect(await fingerprintOf(`${folder}-moved`, options)).toBe(first)
  })

  it.each(['', 'rubbish', '{}', '[]', '{"format":"patchbay.digests","version":1,"entries":[{"path":1}]}'])(
    'is begun anew where the file holds %j',
    async (content) => {
      const folder = await model('m', weights(1))
      const first = await fingerprintOf(folder)
      await mkdir(path.dirname(cacheFile()))
      await writeFile(cacheFile(), content)
      expect(await fingerprintOf(folder, { cacheFile: cacheFile() })).toBe(first)
      expect(JSON.parse(await readFile(cacheFile(), 'utf8'))).toMatchObject({
        version: 1,
        entries: [{ size: weights(1).length }],
      })
    },
  )

  it('costs only time where it can not be read or written, if the caller listens', async () => {
    const folder = await model('m', weights(1))
    await mkdir(cacheFile(), { recursive: true })
    const failures: string[] = []
    const options = {
      cacheFile: cacheFile(),
      onCacheFailure: ({ code }: { code: string }) => void failures.push(code),
    }
    expect(await fingerprintOf(folder, options)).toBe(await fingerprintOf(folder))
    expect(failures).toEqual(['file.unreadable', 'file.unreadable'])
    expect(await failureOf(() => fingerprintOf(folder, { cacheFile: cacheFile() }))).toMatchObject({
      code: 'file.unreadable',
    })
  })

  it('leaves a file of a later version alone', async () => {
    const folder = await model('m', weights(1))
    const later = '{"format":"patchbay.digests","version":2,"other":true}'
    await mkdir(path.dirname(cacheFile()))
    await writeFile(cacheFile(), later)
    expect(await fingerprintOf(folder, { cacheFile: cacheFile() })).toBe(await fingerprintOf(folder))
    expect(await readFile(cacheFile(), 'utf8')).toBe(later)
  })

  it('keeps one digest a path, and forgets the oldest beyond a thousand', async () => {
    const cache = new DigestCache(cacheFile())
    const identity = (name: number, mtimeNs = 1n) => ({
      path: `/m/${name}`,
      size: 1,
      mtimeNs,
      inode: 2n ** 63n,
    })
    const entries = Array.from({ length: 1000 }, (_, i) => ({
      ...identity(i),
      mtimeNs: '1',
      inode: String(2n ** 63n),
      sha256: 'a'.repeat(64),
    }))
    await mkdir(path.dirname(cacheFile()))
    await writeFile(cacheFile(), JSON.stringify({ format: 'patchbay.digests', version: 1, entries }))
    await cache.put(identity(5, 2n), { sha256: 'b'.repeat(64) })
    expect(await cache.get(identity(5))).toBeUndefined()
    expect((await cache.get(identity(5, 2n)))?.sha256).toBe('b'.repeat(64))
    await cache.put(identity(2000), { sha256: 'c'.repeat(64) })
    expect((await cache.get(identity(998)))?.sha256).toBe('a'.repeat(64))
    expect(await cache.get(identity(999))).toBeUndefined()
  })
})
