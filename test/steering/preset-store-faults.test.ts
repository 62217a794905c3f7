import { mkdirSync, readdirSync } from 'node:fs'
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { WritableHandle } from '../../main/files/durable-file'
import type { PresetFs } from '../../main/steering/preset-fs'
import { PresetStore } from '../../main/steering/preset-store'
import { examplePreset, presetFolders, put, vectorFile, vectors } from './presets'

/** Paths of all files below a folder. */
function filesIn(folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort()
}

/** A file system whose n-th call of those that change or sync something fails; calls are counted. */
function failing(at: number, code: string): PresetFs & { calls: () => number } {
  let count = 0
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    if (++count === at) throw Object.assign(new Error(`${code}: injected`), { code })
    return work()
  }
  const handleOf = (handle: WritableHandle): WritableHandle => ({
    write: (...args) => guard(() => handle.write(...args)),
    sync: () => guard(() => handle.sync()),
    close: () => handle.close(),
  })
  return {
    ...nodeFs,
    open: (file, flags) => guard(async () => handleOf(await nodeFs.open(file, flags))),
    rename: (from, to) => guard(() => nodeFs.rename(from, to)),
    mkdir: (folder, options) => guard(() => nodeFs.mkdir(folder, options)),
    calls: () => count,
  }
}

describe('a disk that fails', () => {
  const codes = { ENOSPC: 'disk.full', EIO: 'disk.failed', EROFS: 'disk.failed' } as const

  it('leaves the old preset or the new one, whole, wherever saving fails', async () => {
    const total = failing(0, 'EIO')
    const first = presetFolders()
    await new PresetStore(first).create(examplePreset(), vectors)
    await new PresetStore(first, total).save(examplePreset({ note: 'edited' }))
    expect(total.calls()).toBeGreaterThan(5)
    for (const [errno, code] of Object.entries(codes))
      for (let at = 1; at <= total.calls(); at++) {
        const folders = presetFolders()
        await new PresetStore(folders).create(examplePreset({ note: 'old' }), vectors)
        const saving = new PresetStore(folders, failing(at, errno)).save(examplePreset({ note: 'edited' }))
        await expect(saving).rejects.toMatchObject({ code })
        const { presets, broken } = await new PresetStore(folders).list()
        expect(broken).toEqual([])
        expect(['old', 'edited']).toContain(presets[0].preset.note)
        expect(filesIn(folders.own)).toEqual(['kindness.json', path.join('vectors', vectorFile.vector.file)])
      }
  })

  it('leaves nothing half-written wherever creating fails, and creating works afterwards', async () => {
    const total = failing(0, 'EIO')
    await new PresetStore(presetFolders(), total).create(examplePreset(), vectors)
    for (const [errno, code] of Object.entries(codes))
      for (let at = 1; at <= total.calls(); at++) {
        const folders = presetFolders()
        const creating = new PresetStore(folders, failing(at, errno)).create(examplePreset(), vectors)
        await expect(creating).rejects.toMatchObject({ code })
        const store = new PresetStore(folders)
        const { presets, broken } = await store.list()
        expect(broken).toEqual([])
        // Failing after the rename, when the folder is synced: the preset is there, and whole.
        for (const entry of presets) expect((await store.vectors(entry)).size).toBe(1)
        expect(filesIn(folders.own).filter((file) => !/(kindness\.json|\.safetensors)$/.test(file))).toEqual(
          [],
        )
        const entry = await store.create(examplePreset(), vectors)
        expect((await store.vectors(entry)).size).toBe(1)
      }
  })

  it('goes on after a failure: the next change is not held up by it', async () => {
    const folders = presetFolders()
    const store = new PresetStore(folders, failing(1, 'ENOSPC'))
    const [lost, kept] = await Promise.allSettled([
      store.create(examplePreset({ id: 'lost' }), vectors),
      store.create(examplePreset({ id: 'kept' }), vectors),
    ])
    expect([lost.status, kept.status]).toEqual(['rejected', 'fulfilled'])
    expect((await store.list()).presets.map(({ preset }) => preset.id)).toEqual(['kept'])
  })

  it('says which file can not be read, and lists the others', async () => {
    const folders = presetFolders()
    put(folders.own, 'kindness.json', examplePreset())
    put(folders.own, 'other.json', examplePreset({ id: 'other' }))
    const unreadable: PresetFs = {
      ...nodeFs,
      readFile: async (file) => {
        if (file.endsWith('other.json')) throw Object.assign(new Error('EIO'), { code: 'EIO' })
        return nodeFs.readFile(file)
      },
    }
    const { presets, broken } = await new PresetStore(folders, unreadable).list()
    expect(presets.map(({ preset }) => preset.id)).toEqual(['kindness'])
    expect(broken).toMatchObject([{ file: 'other.json', error: { code: 'disk.failed' } }])
  })
})

describe('several writers', () => {
  it('of one process get an id each', async () => {
    const store = new PresetStore(presetFolders())
    const made = await Promise.all(Array.from({ length: 8 }, () => store.create(examplePreset(), vectors)))
    expect(new Set(made.map(({ preset }) => preset.id)).size).toBe(8)
    expect((await store.list()).presets).toHaveLength(8)
  })

  it('of two processes leave one of their presets, whole, where they save over the same one', async () => {
    const folders = presetFolders()
    const [one, two] = [new PresetStore(folders), new PresetStore(folders)]
    await one.create(examplePreset(), vectors)
    const notes = Array.from({ length: 20 }, (_, i) => `note ${i} `.repeat(200))
    await Promise.all(notes.map((note, i) => (i % 2 === 0 ? one : two).save(examplePreset({ note }))))
    const { presets, broken } = await one.list()
    expect(broken).toEqual([])
    expect(notes).toContain(presets[0].preset.note)
  })

  it('never show a reader a part of a preset', async () => {
    const folders = presetFolders()
    const [writer, reader] = [new PresetStore(folders), new PresetStore(folders)]
    await writer.create(examplePreset(), vectors)
    const notes = ['short', 'long '.repeat(3000)]
    let writing = true
    const written = (async () => {
      for (let i = 0; i < 30; i++) await writer.save(examplePreset({ note: notes[i % 2] }))
      writing = false
    })()
    while (writing)
      expect([examplePreset().note, ...notes]).toContain((await reader.get('kindness')).preset.note)
    await written
  })
})
