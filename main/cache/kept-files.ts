/**
 * Small results on disk, each a file of its own under the hash of what was asked: whole or not there, checked when it is
 * read, and the ones that were used longest ago go first. One that can not be trusted is computed again.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../preload/errors'
import { sizeOf } from '../../preload/tensor'
import { writeWhole } from '../files/durable-file'
import { decodeSafetensors, encodeSafetensors } from '../models/formats/safetensors'

export interface KeptArray {
  readonly shape: readonly number[]
  readonly data: Int32Array | Float32Array
}
export type KeptArrays = Readonly<Record<string, KeptArray>>

/** Arrays by name, and a text beside them. */
export interface Kept {
  readonly arrays: KeptArrays
  readonly note: string
}

const ENDING = '.safetensors'

export class KeptFiles {
  /** @param most files that are kept */
  constructor(
    private readonly folder: string,
    private readonly most: number,
  ) {}

  /** What was kept under a key; null without anything that can be read. */
  async read(key: string): Promise<Kept | null> {
    const file = this.#file(key)
    const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT')
        console.warn('A kept result could not be read, and is computed again:', error)
      return null
    })
    const found = bytes === null ? null : decode(bytes)
    // The file's time says when it was last of use.
    if (found !== null) await utimes(file, new Date(), new Date())
    return found
  }

  /** @throws PatchbayError `disk.full`, `disk.failed` */
  async write(key: string, arrays: KeptArrays, note = ''): Promise<void> {
    await mkdir(this.folder, { recursive: true })
    await writeWhole(this.#file(key), encode({ arrays, note }))
    await this.#forgetOld()
  }

  #file(key: string): string {
    return path.join(this.folder, key + ENDING)
  }

  async #forgetOld(): Promise<void> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(ENDING))
    if (names.length <= this.most) return
    const files = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.folder, name)
        return { file, used: (await stat(file)).mtimeMs }
      }),
    )
    files.sort((a, b) => a.used - b.used)
    for (const { file } of files.slice(0, files.length - this.most)) await rm(file, { force: true })
  }
}

function encode(kept: Kept): Uint8Array {
  const tensors = Object.entries(kept.arrays).map(([name, array]) => ({ name, ...array }))
  return encodeSafetensors(tensors, { digest: digestOf(kept), note: kept.note })
}

/** Null for a file that is damaged or none of ours. */
function decode(bytes: Uint8Array): Kept | null {
  try {
    const { tensors, metadata } = decodeSafetensors(bytes)
    const arrays: Record<string, KeptArray> = {}
    for (const [name, { storage, shape, bytes: own }] of tensors) {
      const { buffer } = new Uint8Array(own)
      if (storage !== 'I32' && storage !== 'F32') return null
      arrays[name] = { shape, data: storage === 'I32' ? new Int32Array(buffer) : new Float32Array(buffer) }
    }
    const kept = { arrays, note: metadata.get('note') ?? '' }
    return metadata.get('digest') === digestOf(kept) ? kept : null
  } catch (error) {
    if (error instanceof PatchbayError) return null
    throw error
  }
}

/** sha256 of the note, and of names, shapes and elements as they lie in memory. */
function digestOf({ arrays, note }: Kept): string {
  const hash = createHash('sha256').update(JSON.stringify(note))
  for (const [name, { shape, data }] of Object.entries(arrays).sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name} [${shape.join(',')}] ${sizeOf(shape)}\n`)
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  return hash.digest('hex')
}
