/** One safetensors file, open for reading by position. */
import type { TensorEntry } from '../checkpoint'
import { view } from '../decode'
import { malformed, quoted } from '../malformed'
import { PositionalFile } from '../positional-file'
import { TensorFiles } from '../tensor-files'
import { headerLength, parseHeader, prefixBytes } from './header'

export class SafetensorsFile {
  private constructor(
    /** Absolute, symbolic links resolved. */
    readonly path: string,
    readonly tensors: ReadonlyMap<string, TensorEntry>,
    /** The header's `__metadata__`. */
    readonly metadata: ReadonlyMap<string, string>,
    private readonly files: TensorFiles,
  ) {}

  /** @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed` */
  static async open(file: string): Promise<SafetensorsFile> {
    const source = await PositionalFile.open(file)
    try {
      const { tensors, metadata } = await readSafetensorsHeader(source)
      return new SafetensorsFile(source.path, tensors, metadata, new TensorFiles([source], tensors))
    } catch (error) {
      await source.close()
      throw error
    }
  }

  /** A whole tensor as float32, row-major; see `Checkpoint.readFloat32`. */
  readFloat32(name: string): Promise<Float32Array> {
    return this.files.readFloat32(name)
  }

  /** A tensor's bytes, or those from `start` up to `end`. */
  readRaw(name: string, start?: number, end?: number): Promise<Uint8Array> {
    return this.files.readRaw(name, start, end)
  }

  /**
   * A whole I64 tensor, such as the token ids of a reference.
   * @throws PatchbayError as readRaw; `file.malformed` where it is stored as something else
   */
  async readInt64(name: string): Promise<BigInt64Array> {
    const storage = this.tensors.get(name)?.storage
    if (storage !== undefined && storage !== 'I64')
      throw malformed(this.path, `tensor ${quoted(name)} should be I64, but is ${storage}`, { field: name })
    return view(BigInt64Array, await this.readRaw(name), (this.tensors.get(name)?.byteLength ?? 0) / 8)
  }

  close(): Promise<void> {
    return this.files.close()
  }
}

/** Reads and validates the header of an open file. */
export async function readSafetensorsHeader(
  source: PositionalFile,
): Promise<{ tensors: ReadonlyMap<string, TensorEntry>; metadata: ReadonlyMap<string, string> }> {
  const prefix = await source.read(0, Math.min(prefixBytes, source.size))
  const length = headerLength(prefix, source.size, source.path)
  const header = parseHeader(await source.read(prefixBytes, length), source.size, source.path)
  const tensors = new Map(header.tensors.map((tensor) => [tensor.name, { ...tensor, file: source.path }]))
  return { tensors, metadata: header.metadata }
}
