import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { presetText } from '../../main/steering/preset-schema'
import { PresetStore } from '../../main/steering/preset-store'
import type { Preset } from '../../preload/preset'
import { examplePreset, presetFolders, put, vectorFile, vectorPath, vectors } from './presets'

describe('PresetStore', () => {
  it('saves a preset and reads it back, in this process and in the next', async () => {
    const folders = presetFolders()
    const entry = await new PresetStore(folders).create(examplePreset(), vectors)
    expect(entry).toMatchObject({ preset: examplePreset(), bundled: false })
    const next = new PresetStore(folders)
    expect(await next.get('kindness')).toEqual(entry)
    expect(await next.list()).toEqual({ presets: [entry], broken: [] })
    const [[site, vector]] = await next.vectors(await next.get('kindness'))
    expect(site.hook).toBe('blocks.1.hook_resid_post')
    expect([...vector.data]).toEqual([3, 0, 4, 0])
  })

  it('has nothing before anything was saved', async () => {
    expect(await new PresetStore(presetFolders()).list()).toEqual({ presets: [], broken: [] })
  })

  it('lists bundled presets first, each group by name', async () => {
    const folders = presetFolders()
    const named = (id: string, name: string): Preset => examplePreset({ id, name })
    put(folders.bundled, 'z.json', named('z', 'Zeal'))
    put(folders.bundled, 'y.json', named('y', 'Anger'))
    put(folders.own, 'b.json', named('b', 'Bliss'))
    put(folders.own, 'c.json', named('c', 'Awe'))
    const { presets } = await new PresetStore(folders).list()
    expect(presets.map(({ preset, bundled }) => [preset.name, bundled])).toEqual([
      ['Anger', true],
      ['Zeal', true],
      ['Awe', false],
      ['Bliss', false],
    ])
  })

  it('gives a second preset of the same name another id', async () => {
    const folders = presetFolders()
    const store = new PresetStore(folders)
    const first = await store.create(examplePreset({ note: 'first' }), vectors)
    const second = await store.create(examplePreset({ note: 'second' }), vectors)
    expect(second.preset.id).toMatch(/^kindness-[0-9a-f]{8}$/)
    expect((await store.get(first.preset.id)).preset.note).toBe('first')
    expect((await store.get(second.preset.id)).preset.note).toBe('second')
  })

  it('does not take the id of a bundled preset', async () => {
    const folders = presetFolders()
    put(folders.bundled, 'kindness.json', examplePreset({ note: 'bundled' }))
    const store = new PresetStore(folders)
    expect((await store.create(examplePreset(), vectors)).preset.id).not.toBe('kindness')
    expect((await store.get('kindness')).preset.note).toBe('bundled')
  })

  it('saves edits of what may be edited and refuses the rest by name', async () => {
    const folders = presetFolders()
    const store = new PresetStore(folders)
    await store.create(examplePreset(), vectors)
    const [site] = examplePreset().sites
    const edited = examplePreset({
      name: 'Warmth',
      note: 'New note.',
      strength: { default: 2, minimum: 0, maximum: 3 },
      norm: { policy: 'relative', residualNorm: 10 },
      sites: [{ ...site, positions: 'generated', operation: 'remove' }],
      example: 'It was',
    })
    expect((await store.save(edited)).preset).toEqual(edited)
    expect((await new PresetStore(folders).get('kindness')).preset).toEqual(edited)
    const refused: [string, Partial<Preset>][] = [
      ['preset.model', { model: { ...edited.model, fingerprint: '7'.repeat(64) } }],
      ['preset.norm.residualNorm', { norm: { policy: 'relative', residualNorm: 11 } }],
      ['preset.created', { created: '2027-01-01T00:00:00Z' }],
      ['preset.origin', { origin: { ...edited.origin, pairs: 99 } }],
      ['preset.sites', { sites: [{ ...site, hook: 'blocks.2.hook_resid_post' }] }],
      ['preset.sites', { sites: [site, site] }],
      ['preset.name', { name: '' }],
    ]
    for (const [field, change] of refused)
      await expect(store.save({ ...edited, ...change })).rejects.toMatchObject({
        code: 'input.invalid',
        field,
      })
    expect((await store.get('kindness')).preset).toEqual(edited)
  })

  it('deletes own presets only, broken ones too', async () => {
    const folders = presetFolders()
    put(folders.bundled, 'given.json', examplePreset({ id: 'given' }))
    put(folders.own, 'torn.json', '{')
    const store = new PresetStore(folders)
    await store.create(examplePreset(), vectors)
    await store.delete('kindness')
    await store.delete('torn')
    expect((await store.list()).presets.map(({ preset }) => preset.id)).toEqual(['given'])
    expect((await store.list()).broken).toEqual([])
    for (const id of ['given', 'kindness'])
      await expect(store.delete(id)).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(store.save(examplePreset({ id: 'given' }))).rejects.toMatchObject({ code: 'input.invalid' })
    expect(readdirSync(folders.bundled)).toContain('given.json')
  })

  it('never takes an id for a path', async () => {
    const folders = presetFolders()
    put(path.dirname(folders.own), 'outside.json', examplePreset({ id: 'outside' }))
    const store = new PresetStore(folders)
    const hostile = [
      '../outside',
      '..',
      '/etc/passwd',
      'a/b',
      'a\\b',
      'a\0b',
      '',
      'CON',
      '.hidden',
      'x'.repeat(81),
      'kindness.json',
    ]
    for (const id of hostile) {
      await expect(store.get(id)).rejects.toMatchObject({ code: 'input.invalid' })
      await expect(store.delete(id)).rejects.toMatchObject({ code: 'input.invalid' })
    }
    expect(readdirSync(path.dirname(folders.own))).toContain('outside.json')
  })
})

describe('broken files', () => {
  it('are listed with file and reason, and hide no other', async () => {
    const folders = presetFolders()
    put(folders.own, 'kindness.json', examplePreset())
    put(folders.own, 'half.json', presetText(examplePreset({ id: 'half' })).slice(0, 200))
    put(folders.own, 'empty.json', '')
    put(
      folders.own,
      'later.json',
      presetText(examplePreset({ id: 'later' })).replace('"version": 1', '"version": 2'),
    )
    put(folders.own, 'renamed.json', examplePreset({ id: 'original' }))
    put(folders.own, 'bytes.json', Uint8Array.of(0xff, 0xfe))
    put(folders.own, 'notes.txt', 'not a preset, and none of our business')
    mkdirSync(path.join(folders.own, 'folder.json'))
    symlinkSync('/etc/hostname', path.join(folders.own, 'link.json'))
    const { presets, broken } = await new PresetStore(folders).list()
    expect(presets.map(({ preset }) => preset.id)).toEqual(['kindness'])
    expect(broken.map(({ file, error }) => [file, error.code])).toEqual(
      ['bytes', 'empty', 'folder', 'half', 'later', 'link', 'renamed'].map((name) => [
        `${name}.json`,
        'file.malformed',
      ]),
    )
    expect(broken.find(({ file }) => file === 'later.json')?.error.next).toContain('newer Patchbay')
  })

  it('include an own preset that claims the id of a bundled one', async () => {
    const folders = presetFolders()
    put(folders.bundled, 'kindness.json', examplePreset({ note: 'bundled' }))
    put(folders.own, 'kindness.json', examplePreset({ note: 'impostor' }))
    const store = new PresetStore(folders)
    const { presets, broken } = await store.list()
    expect(presets.map(({ preset }) => preset.note)).toEqual(['bundled'])
    expect(broken).toMatchObject([{ file: 'kindness.json', error: { field: 'id' } }])
    expect((await store.get('kindness')).preset.note).toBe('bundled')
  })

  it('include a file larger than any preset, which is not read', async () => {
    const folders = presetFolders()
    put(folders.own, 'huge.json', new Uint8Array(5 * 2 ** 20))
    expect((await new PresetStore(folders).list()).broken).toMatchObject([{ file: 'huge.json' }])
  })
})

describe('vectors', () => {
  const stored = async () => {
    const folders = presetFolders()
    const store = new PresetStore(folders)
    return { folders, store, entry: await store.create(examplePreset(), vectors) }
  }

  it('are refused at any flipped bit', async () => {
    const { folders, store, entry } = await stored()
    for (let bit = 0; bit < vectorFile.bytes.length * 8; bit += 13) {
      const bytes = vectorFile.bytes.slice()
      bytes[bit >> 3] ^= 1 << (bit & 7)
      writeFileSync(vectorPath(folders.own), bytes)
      await expect(store.vectors(entry)).rejects.toMatchObject({
        code: 'file.malformed',
        field: 'sites.vector.sha256',
      })
    }
  })

  it('are refused where the file is gone or cut short, and stored again by the next preset that has them', async () => {
    const { folders, store, entry } = await stored()
    writeFileSync(vectorPath(folders.own), vectorFile.bytes.subarray(0, 20))
    await expect(store.vectors(entry)).rejects.toMatchObject({ code: 'file.malformed' })
    await nodeFs.rm(vectorPath(folders.own))
    await expect(store.vectors(entry)).rejects.toMatchObject({ code: 'file.missing' })
    await store.create(examplePreset(), vectors)
    const [[, vector]] = await store.vectors(entry)
    expect([...vector.data]).toEqual([3, 0, 4, 0])
  })

  it('are refused where the preset says another length or tensor than the file has', async () => {
    const { store, entry } = await stored()
    const [site] = entry.preset.sites
    for (const change of [{ norm: 6 }, { tensor: 'other' }]) {
      const preset = { ...entry.preset, sites: [{ ...site, vector: { ...site.vector, ...change } }] }
      await expect(store.vectors({ ...entry, preset })).rejects.toMatchObject({
        code: 'file.malformed',
        field: 'sites.vector',
      })
    }
  })

  it('stay when a preset is deleted: another may name them', async () => {
    const { folders, store } = await stored()
    const other = await store.create(examplePreset({ id: 'other' }), vectors)
    await store.delete('kindness')
    expect(readdirSync(path.join(folders.own, 'vectors'))).toEqual([vectorFile.vector.file])
    expect((await store.vectors(other)).size).toBe(1)
  })
})
