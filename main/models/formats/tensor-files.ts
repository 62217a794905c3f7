/** The tensors of one or several open files, read by name and position: what all containers have in common. */
import { PatchbayError } from '../../../preload/errors'
import type { TensorEntry } from './checkpoint'
import { decodeFloat32 } from './decode'
import { quoted } from './malformed'
import type { PositionalFile } from './positional-file'
import { elementsOf, unitOf } from './storage'

/** Bytes read at once while a tensor is decoded. */
const chunkBytes = 4 << 20

export class TensorFiles {
  private readonly byPath: ReadonlyMap<string, PositionalFile>

  constructor(
    private readonly files: readonly PositionalFile[],
    readonly tensors: ReadonlyMap<string, TensorEntry>,
  ) {
    this.byPath = new Map(files.map((file) => [file.path, file]))
  }

  /** A whole tensor as float32; memory beyond the result is one chunk. */
  async readFloat32(name: string): Promise<Float32Array> {
    const { entry, file } = this.find(name)
    const out = new Float32Array(elementsOf(entry.shape) ?? 0)
    if (entry.storage === 'F32') {
      await file.readInto(new Uint8Array(out.buffer), entry.offset)
      return out
    }
    const unit = unitOf(entry.storage)
    const step = Math.floor(chunkBytes / unit.bytes) * unit.bytes
    const chunk = new Uint8Array(Math.min(step, entry.byteLength))
    for (let at = 0; at < entry.byteLength; at += step) {
      const bytes = chunk.subarray(0, Math.min(step, entry.byteLength - at))
      await file.readInto(bytes, entry.offset + at)
      const first = (at / unit.bytes) * unit.elements
      decodeFloat32(
        entry.storage,
        bytes,
        out.subarray(first, first + (bytes.length / unit.bytes) * unit.elements),
      )
    }
    return out
  }

  /** Bytes `start` to `end` of a tensor, in memory of their own. */
  async readRaw(name: string, start = 0, end?: number): Promise<Uint8Array> {
    const { entry, file } = this.find(name)
    const stop = end ?? entry.byteLength
    if (
      !Number.isSafeInteger(start) ||
      !Number.isSafeInteger(stop) ||
      start < 0 ||
      stop < start ||
      stop > entry.byteLength
    )
      throw new PatchbayError(
        'input.invalid',
        `Bytes ${start} to ${stop} of tensor ${quoted(name)} were asked for; it has ${entry.byteLength}.`,
        { file: entry.file, field: name, next: 'Ask for a range inside of the tensor.' },
      )
    return file.read(entry.offset + start, stop - start)
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map((file) => file.close()))
  }

  private find(name: string): { entry: TensorEntry; file: PositionalFile } {
    const entry = this.tensors.get(name)
    const file = entry === undefined ? undefined : this.byPath.get(entry.file)
    if (entry === undefined || file === undefined)
      throw new PatchbayError('model.incomplete', `The checkpoint has no tensor ${quoted(name)}.`, {
        field: name,
        file: this.files[0]?.path,
        next: 'Check that all files of the model are there and belong together.',
      })
    return { entry, file }
  }
}
