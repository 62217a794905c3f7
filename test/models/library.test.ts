import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Library } from '../../main/models/library'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-library-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const entry = (name: string, file: string, lastOpened: string) => ({
  name,
  location: { kind: 'path' as const, path: file },
  family: 'llama',
  format: 'gguf' as const,
  fingerprint: 'f'.repeat(64),
  parameterCount: 1,
  lastOpened,
})

describe('the model library', () => {
  it('is empty at first, and remembers what was opened over a restart, last first', async () => {
    const file = path.join(folder, 'library.json')
    const library = new Library(file)
    expect(await library.list()).toEqual([])
    await library.remember(entry('a', path.join(folder, 'a.gguf'), '2026-01-01T00:00:00Z'))
    await library.remember(entry('b', path.join(folder, 'b.gguf'), '2026-01-02T00:00:00Z'))
    expect((await new Library(file).list()).map(({ name }) => name)).toEqual(['b', 'a'])
  })

  it('keeps one entry a location, and says whether its file is still there', async () => {
    const library = new Library(path.join(folder, 'library.json'))
    const file = path.join(folder, 'a.gguf')
    await writeFile(file, 'x')
    await library.remember(entry('a', file, '2026-01-01T00:00:00Z'))
    await library.remember(entry('a again', file, '2026-01-03T00:00:00Z'))
    expect(await library.list()).toMatchObject([{ name: 'a again', present: true }])
    await rm(file)
    expect(await library.list()).toMatchObject([{ present: false }])
  })

  it('loses no entry when several models are remembered at once', async () => {
    const library = new Library(path.join(folder, 'library.json'))
    const names = Array.from({ length: 20 }, (_, i) => `model ${i}`)
    await Promise.all(
      names.map((name) => library.remember(entry(name, path.join(folder, name), '2026-01-01T00:00:00Z'))),
    )
    expect((await library.list()).map(({ name }) => name).sort()).toEqual(names.sort())
  })

  it('sets a file that it can not read aside and says so, instead of overwriting it', async () => {
    const file = path.join(folder, 'library.json')
    await writeFile(file, '{"format": "patchbay.library", "entr')
    const library = new Library(file)
    expect(await library.list()).toEqual([])
    expect(library.warning).toMatch(/set aside/)
    const [aside] = (await readdir(folder)).filter((name) => name.includes('unreadable'))
    expect(await readFile(path.join(folder, aside), 'utf8')).toContain('"entr')
  })

  it('forgets an entry', async () => {
    const library = new Library(path.join(folder, 'library.json'))
    await library.remember(entry('a', path.join(folder, 'a'), '2026-01-01T00:00:00Z'))
    const [{ id }] = await library.list()
    await library.forget(id)
    expect(await library.list()).toEqual([])
  })
})
