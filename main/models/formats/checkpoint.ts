/**
 * What every container of weights looks like from above: named tensors that lie somewhere in some files, a
 * configuration, and readers by position. Architectures and the runtime know only this, never a file format.
 */
import type { GgufValue } from './gguf/values'
import type { StorageType } from './storage'

export { openCheckpoint } from './open'
export type { GgufBlockType, PlainType, StorageType } from './storage'
export type { GgufArray, GgufMetadata, GgufValue } from './gguf/values'

/** Where one tensor lies. */
export interface TensorEntry {
  name: string
  storage: StorageType
  /** Row-major, outermost dimension first, also for GGUF (which writes the innermost first). */
  shape: readonly number[]
  /** Absolute path, symbolic links resolved. */
  file: string
  /** Of the first byte, from the start of the file. */
  offset: number
  byteLength: number
}

export interface Checkpoint {
  format: 'safetensors' | 'gguf' | 'onnx'
  /** The files that hold weights: absolute, symbolic links resolved, in the order of their names. */
  files: readonly string[]
  tensors: ReadonlyMap<string, TensorEntry>
  /** The parsed `config.json` of a Hugging Face folder, not yet validated; undefined for GGUF or where there is none. */
  config: unknown
  /** GGUF's key-values; empty for safetensors. */
  metadata: ReadonlyMap<string, GgufValue>
  /** What is odd but harmless, in sentences for the person. */
  warnings: string[]
  /**
   * A whole tensor as float32, row-major. Exact for F32, F16, BF16, F8 and every GGUF block type; F64 and integers
   * are rounded to the nearest float32.
   * @throws PatchbayError `model.incomplete` for a name that is not there, `file.*` where the file can't be read
   */
  readFloat32(name: string): Promise<Float32Array>
  /**
   * A tensor's bytes as they lie, or those from `start` up to `end` (counted from the tensor's first byte).
   * @throws PatchbayError as readFloat32; `input.invalid` for a range outside of the tensor
   */
  readRaw(name: string, start?: number, end?: number): Promise<Uint8Array>
  /** Closes the files. Reading afterwards is an error. */
  close(): Promise<void>
}
