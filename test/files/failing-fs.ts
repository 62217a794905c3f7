/** A file system whose n-th operation fails, for testing that nothing half-written stays. Removing always works. */
import * as nodeFs from 'node:fs/promises'
import type { WritableFs } from '../../main/files/durable-file'

export function failingFs(n: number, errno: string): { fs: WritableFs; operations: () => string[] } {
  const done: string[] = []
  let count = 0
  const step = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    if (++count === n) throw Object.assign(new Error(`${errno}: injected into ${name}`), { code: errno })
    const result = await action()
    done.push(name)
    return result
  }
  const fs: WritableFs = {
    open: async (file, flags) => {
      const handle = await step('open', () => nodeFs.open(file, flags))
      return {
        write: (...args) => step('write', () => handle.write(...args)),
        sync: () => step('sync', () => handle.sync()),
        close: async () => {
          await handle.close()
          await step('close', () => Promise.resolve())
        },
      }
    },
    rename: (from, to) => step('rename', () => nodeFs.rename(from, to)),
    rm: (file, options) => nodeFs.rm(file, options),
    mkdir: (folder, options) => step('mkdir', () => nodeFs.mkdir(folder, options)),
    readdir: (folder) => step('readdir', () => nodeFs.readdir(folder)),
    stat: (file) => step('stat', () => nodeFs.stat(file)),
    statfs: (folder) => step('statfs', () => nodeFs.statfs(folder)),
  }
  return { fs, operations: () => done }
}
