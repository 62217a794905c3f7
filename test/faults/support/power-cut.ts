/**
 * A file system that remembers what a power cut would leave in the worst case: of a file what was there when it was synced
 * last, of a folder the names that it had when it was synced last. Where that is enough, nothing depends on luck.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { WritableHandle } from '../../../main/files/durable-file'
import { realFs, type StoreFs } from '../../../main/cache/store/store-fs'

interface Inode {
  readonly kind: 'file' | 'folder'
  /** Of a file; null before it was synced. */
  content: Buffer | null
  /** Of a folder: names now, and as they were synced last. */
  readonly names: Map<string, Inode>
  kept: ReadonlyMap<string, Inode>
}

const inode = (kind: Inode['kind']): Inode => ({ kind, content: null, names: new Map(), kept: new Map() })

export class PowerCut {
  readonly #root = inode('folder')
  /** Called behind every operation. */
  onStep: () => void = () => undefined

  /** @param folder is there, empty, and stays */
  constructor(private readonly folder: string) {}

  /** Writes what a cut would leave now to a folder that is not there yet. */
  leaveIn(target: string): void {
    const write = (node: Inode, at: string): void => {
      if (node.kind === 'file') return writeFileSync(at, node.content ?? '')
      mkdirSync(at)
      for (const [name, child] of node.kept) write(child, path.join(at, name))
    }
    write(this.#root, target)
  }

  readonly fs: StoreFs = {
    ...realFs,
    open: async (file, flags) => {
      const handle = await realFs.open(file, flags)
      const node = flags === 'r' ? this.#find(file) : this.#make(file, 'file')
      this.onStep()
      return this.#handleOf(handle, node, file)
    },
    rename: async (from, to) => {
      await realFs.rename(from, to)
      const node = this.#find(from)
      this.#folderOf(from).names.delete(path.basename(from))
      if (node !== undefined) this.#folderOf(to).names.set(path.basename(to), node)
      this.onStep()
    },
    rm: async (file, options) => {
      await realFs.rm(file, options)
      this.#folderOf(file).names.delete(path.basename(file))
      this.onStep()
    },
    mkdir: async (folder, options) => {
      const first = await realFs.mkdir(folder, options)
      let at = this.#root
      for (const name of this.#stepsTo(folder)) {
        const next = at.names.get(name) ?? inode('folder')
        at.names.set(name, next)
        at = next
      }
      this.onStep()
      return first
    },
  }

  #handleOf(handle: WritableHandle, node: Inode | undefined, file: string): WritableHandle {
    return {
      write: async (...args) => {
        const written = await handle.write(...args)
        this.onStep()
        return written
      },
      sync: async () => {
        if (node?.kind === 'folder') node.kept = new Map(node.names)
        else if (node !== undefined) node.content = readFileSync(file)
        this.onStep()
        return Promise.resolve()
      },
      close: () => handle.close(),
    }
  }

  #stepsTo(file: string): string[] {
    const relative = path.relative(this.folder, path.resolve(file))
    // Folders above are not looked at: they were there before.
    return relative === '' || relative.startsWith('..') ? [] : relative.split(path.sep)
  }

  #find(file: string): Inode | undefined {
    let at: Inode | undefined = this.#root
    for (const name of this.#stepsTo(file)) at = at?.names.get(name)
    return at
  }

  #folderOf(file: string): Inode {
    const found = this.#find(path.dirname(file))
    if (found === undefined) throw new Error(`${file} lies in no folder that was made here.`)
    return found
  }

  #make(file: string, kind: Inode['kind']): Inode {
    const made = inode(kind)
    this.#folderOf(file).names.set(path.basename(file), made)
    return made
  }
}
