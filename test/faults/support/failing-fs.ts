/** A file system that fails at a chosen operation. */
import type { WritableHandle } from '../../../main/files/durable-file'
import { realFs, type StoreFs } from '../../../main/cache/store/store-fs'
import { unsynced } from '../../cache/store/fixtures'

/**
 * A file system whose n-th operation fails, removing included; all later ones too where `forever`.
 * @param n from 1; 0 for none
 */
export function failing(n: number, errno: string, forever: boolean): { fs: StoreFs; count: () => number } {
  let count = 0
  const step = async <T>(action: () => Promise<T>): Promise<T> => {
    count++
    if (n > 0 && (forever ? count >= n : count === n))
      throw Object.assign(new Error(`${errno}: injected`), { code: errno })
    return action()
  }
  const handleOf = (handle: WritableHandle): WritableHandle => ({
    write: (...args) => step(() => handle.write(...args)),
    sync: () => step(() => handle.sync()),
    close: async () => {
      await handle.close()
      await step(() => Promise.resolve())
    },
  })
  const fs: StoreFs = {
    ...realFs,
    open: (file, flags) => step(async () => handleOf(await unsynced.open(file, flags))),
    rename: (from, to) => step(() => realFs.rename(from, to)),
    rm: (file, options) => step(() => realFs.rm(file, options)),
    mkdir: (folder, options) => step(() => realFs.mkdir(folder, options)),
    readdir: (folder) => step(() => realFs.readdir(folder)),
    readFile: (file) => step(() => realFs.readFile(file)),
    stat: (file) => step(() => realFs.stat(file)),
    utimes: (...args) => step(() => realFs.utimes(...args)),
  }
  return { fs, count: () => count }
}
