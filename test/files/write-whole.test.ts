import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeWhole } from '../../main/files/durable-file'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('writing whole', () => {
  it('replaces a file and leaves nothing else', async () => {
    const file = path.join(folder, 'x.bin')
    writeFileSync(file, 'old')
    await writeWhole(file, new Uint8Array([1, 2, 3]))
    expect([...readFileSync(file)]).toEqual([1, 2, 3])
    expect(readdirSync(folder)).toEqual(['x.bin'])
  })

  it('replaces a symbolic link instead of writing through it', async () => {
    const target = path.join(folder, 'target')
    writeFileSync(target, 'precious')
    symlinkSync(target, path.join(folder, 'link'))
    await writeWhole(path.join(folder, 'link'), 'new')
    expect(readFileSync(target, 'utf8')).toBe('precious')
    expect(readFileSync(path.join(folder, 'link'), 'utf8')).toBe('new')
  })

  it('makes the folder that is missing', async () => {
    await writeWhole(path.join(folder, 'none', 'x'), '1')
    expect(readFileSync(path.join(folder, 'none', 'x'), 'utf8')).toBe('1')
  })

  it('fails with a code and leaves nothing where the target is a folder', async () => {
    mkdirSync(path.join(folder, 'taken'))
    await expect(writeWhole(path.join(folder, 'taken'), '1')).rejects.toMatchObject({ name: 'PatchbayError' })
    expect(readdirSync(folder)).toEqual(['taken'])
  })
})
