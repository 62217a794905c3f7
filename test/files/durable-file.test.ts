import { readFile, readdir, symlink, utimes } from 'node:fs/promises'
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { requireSpace, writeDurably, type WritableFs } from '../../main/files/durable-file'
import { failureOf, useScratch } from '../models/scratch'
import { failingFs } from './failing-fs'

const scratch = useScratch()
const target = () => path.join(scratch.folder, 'file')
const write = (content: string, fs?: WritableFs, signal?: AbortSignal) =>
  writeDurably(
    target(),
    async (append) => {
      for (const letter of content) await append(Buffer.from(letter))
    },
    { fs, signal },
  )

describe('a durable file', () => {
  it('is written piece by piece and put in place of the old one', async () => {
    await write('old')
    await write('new content')
    expect(await readFile(target(), 'utf8')).toBe('new content')
    expect(await readdir(scratch.folder)).toEqual(['file'])
  })

  it('is complete even where the system takes fewer bytes than it is given', async () => {
    const fs: WritableFs = {
      ...nodeFs,
      open: async (file, flags) => {
        const handle = await nodeFs.open(file, flags)
        return {
          write: (bytes, offset, length, position) =>
            handle.write(bytes, offset, Math.min(length, 3), position),
          sync: () => handle.sync(),
          close: () => handle.close(),
        }
      },
    }
    await writeDurably(target(), (append) => append(Buffer.from('more than three bytes')), { fs })
    expect(await readFile(target(), 'utf8')).toBe('more than three bytes')
  })

  it.each([
    ['ENOSPC', 'disk.full'],
    ['EDQUOT', 'disk.full'],
    ['EIO', 'disk.failed'],
    ['EROFS', 'disk.failed'],
    ['EACCES', 'disk.failed'],
  ])('is old or new as a whole when the n-th operation fails with %s, for every n', async (errno, code) => {
    let finished = false
    for (let n = 1; !finished; n++) {
      await write('old')
      const { fs, operations } = failingFs(n, errno)
      const error = await failureOf(async () => {
        await write('new', fs)
        finished = true
        throw await failureOf(() => requireSpace(target(), Infinity))
      })
      if (finished) break
      expect([n, error.code, error.file]).toEqual([n, code, target()])
      const content = await readFile(target(), 'utf8')
      // Only the last step, syncing the folder, comes after the new content is in place.
      expect([n, content]).toEqual([n, operations().includes('rename') ? 'new' : 'old'])
      expect(await readdir(scratch.folder)).toEqual(['file'])
      expect(n).toBeLessThan(50)
    }
    expect(await readFile(target(), 'utf8')).toBe('new')
  })

  it('stays as it was when the writing is cancelled', async () => {
    await write('old')
    const controller = new AbortController()
    const error = await failureOf(() =>
      writeDurably(
        target(),
        async (append) => {
          await append(Buffer.from('new'))
          controller.abort()
          await append(Buffer.from('more'))
        },
        { signal: controller.signal },
      ),
    )
    expect(error.code).toBe('run.cancelled')
    expect(await readFile(target(), 'utf8')).toBe('old')
    expect(await readdir(scratch.folder)).toEqual(['file'])
  })

  it('removes what a crashed process left an hour ago, and nothing that is being written', async () => {
    const abandoned = await scratch.write('.file.aaaa.partial', 'x')
    await utimes(abandoned, 1e9, 1e9)
    const others = ['.file.bbbb.partial', '.file2.aaaa.partial', '.file.txt', 'file.partial']
    for (const name of others) {
      const file = await scratch.write(name, 'x')
      if (!name.includes('bbbb')) await utimes(file, 1e9, 1e9)
    }
    await write('new')
    expect(await readdir(scratch.folder)).toEqual(expect.arrayContaining([...others, 'file']))
    expect(await readdir(scratch.folder)).toHaveLength(5)
  })

  it('is written though something abandoned beside it can not be removed', async () => {
    const abandoned = await scratch.write('.file.aaaa.partial', 'x')
    await utimes(abandoned, 1e9, 1e9)
    const fs: WritableFs = {
      ...nodeFs,
      rm: (file, options) =>
        file === abandoned
          ? Promise.reject(Object.assign(new Error('not yours'), { code: 'EPERM' }))
          : nodeFs.rm(file, options),
    }
    await write('new', fs)
    expect(await readFile(target(), 'utf8')).toBe('new')
  })

  it('replaces a symbolic link instead of writing through it', async () => {
    const other = await scratch.write('other', 'untouched')
    await symlink(other, target())
    await write('new')
    expect(await readFile(other, 'utf8')).toBe('untouched')
    expect(await readFile(target(), 'utf8')).toBe('new')
  })

  it('says how much space is needed and how much there is, before anything is written', async () => {
    const fs: WritableFs = { ...nodeFs, statfs: () => Promise.resolve({ bavail: 100, bsize: 1e6 }) }
    await requireSpace(target(), 1e8, fs)
    const error = await failureOf(() => requireSpace(target(), 3e8, fs))
    expect(error).toMatchObject({ code: 'disk.full', file: target() })
    expect(error.message).toMatch(/needs 300 MB, but only 100 MB are free/)
    expect(error.next).toMatch(/Free 200 MB/)
  })
})
