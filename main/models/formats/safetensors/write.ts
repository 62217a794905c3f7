/**
 * Writing safetensors: to disk tensor by tensor, so that memory stays at one of them, or as bytes for an export. Larger
 * elements come first, as the reference implementation orders them, which keeps every tensor aligned.
 */
import { PatchbayError } from '../../../../preload/errors'
import { throwIfCancelled, writeDurably, type DurableOptions } from '../../../files/durable-file'
import { quoted } from '../malformed'
import { byteLengthOf, plainBytes, type PlainType } from '../storage'
import { maxHeaderBytes, prefixBytes } from './header'

/** The bytes of one tensor, little-endian: a typed array of its elements, or raw bytes. */
export type TensorBytes = ArrayBufferView

export interface SafetensorsInput {
  name: string
  shape: readonly number[]
  /** Row-major. A function is called when the tensor is written, and its result is not kept. */
  data: TensorBytes | (() => TensorBytes | Promise<TensorBytes>)
  /** How the elements are stored; by the typed array's own type if not given (Uint16Array and functions must say). */
  storage?: PlainType
}

export type SafetensorsMetadata = Readonly<Record<string, string>> | ReadonlyMap<string, string>

export interface SafetensorsWriteOptions extends DurableOptions {
  /** Called after each tensor with the bytes of tensors written so far. */
  onProgress?: (done: number, total: number) => void
}

/** Bytes that are gathered before they are written. */
const WRITTEN_TOGETHER = 1 << 20

interface Placed {
  input: SafetensorsInput
  storage: PlainType
  byteLength: number
}

/**
 * Writes a safetensors file, whole or not at all.
 * @throws PatchbayError `input.invalid` for what the format can't say; `disk.full`, `disk.failed`, `run.cancelled`
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly SafetensorsInput[],
  metadata: SafetensorsMetadata = {},
  { onProgress, ...durable }: SafetensorsWriteOptions = {},
): Promise<void> {
  const { header, placed, dataBytes } = layOut(tensors, metadata)
  await writeDurably(
    path,
    async (append) => {
      // Small tensors are written together: a file may have thousands.
      let waiting: Uint8Array[] = [header]
      let bytes = header.length
      let done = 0
      const flush = async (): Promise<void> => {
        for (const piece of pieces(waiting)) await append(piece)
        waiting = []
        bytes = 0
      }
      for (const tensor of placed) {
        const { data } = tensor.input
        const kept = typeof data !== 'function'
        const given = bytesOf(tensor, kept ? data : await data())
        throwIfCancelled(durable.signal, path)
        const longer = kept ? continued(waiting.at(-1), given) : null
        if (longer !== null) waiting[waiting.length - 1] = longer
        else {
          if (bytes >= WRITTEN_TOGETHER) await flush()
          // A function may give the same memory again, so what waits is a copy, and what is large does not wait.
          waiting.push(kept || given.length >= WRITTEN_TOGETHER ? given : new Uint8Array(given))
        }
        bytes += tensor.byteLength
        if (!kept && bytes >= WRITTEN_TOGETHER) await flush()
        done += tensor.byteLength
        onProgress?.(done, dataBytes)
      }
      await flush()
    },
    durable,
  )
}

/** The memory of two views that lie one behind the other as one view; null where they do not. */
function continued(before: Uint8Array | undefined, next: Uint8Array): Uint8Array | null {
  if (before?.buffer !== next.buffer || before.byteOffset + before.length !== next.byteOffset) return null
  return new Uint8Array(before.buffer, before.byteOffset, before.length + next.length)
}

/** What is written at once: small parts together, large ones as they are. */
function* pieces(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  let small: Uint8Array[] = []
  for (const part of parts) {
    if (part.length < WRITTEN_TOGETHER) {
      small.push(part)
      continue
    }
    if (small.length > 0) yield joined(small)
    small = []
    yield part
  }
  if (small.length > 0) yield joined(small)
}

const joined = (parts: readonly Uint8Array[]): Uint8Array =>
  parts.length === 1 ? parts[0] : Buffer.concat(parts)

/** The bytes before the tensors, as `writeSafetensors` will write them: where each tensor lies is in them. */
export const safetensorsHeader = (
  tensors: readonly SafetensorsInput[],
  metadata: SafetensorsMetadata = {},
): Uint8Array => layOut(tensors, metadata).header

/** The size in bytes that `writeSafetensors` will give the file. */
export function safetensorsSize(
  tensors: readonly SafetensorsInput[],
  metadata: SafetensorsMetadata = {},
): number {
  const { header, dataBytes } = layOut(tensors, metadata)
  return header.length + dataBytes
}

/** The same as bytes in memory; tensors must be given as data, not as functions. */
export function encodeSafetensors(
  tensors: readonly SafetensorsInput[],
  metadata: SafetensorsMetadata = {},
): Uint8Array<ArrayBuffer> {
  const { header, placed, dataBytes } = layOut(tensors, metadata)
  const out = new Uint8Array(header.length + dataBytes)
  out.set(header)
  let at = header.length
  for (const tensor of placed) {
    const { data, name } = tensor.input
    if (typeof data === 'function')
      throw invalid(name, 'is to be produced later, which only a file can wait for')
    out.set(bytesOf(tensor, data), at)
    at += tensor.byteLength
  }
  return out
}

function layOut(tensors: readonly SafetensorsInput[], metadata: SafetensorsMetadata) {
  const placed = tensors.map(place).sort((a, b) => plainBytes[b.storage] - plainBytes[a.storage])
  const entries: [string, unknown][] = []
  const texts = metadata instanceof Map ? [...metadata] : Object.entries(metadata)
  if (texts.length > 0) entries.push(['__metadata__', nullPrototype(texts)])
  let at = 0
  for (const { input, storage, byteLength } of placed) {
    entries.push([input.name, { dtype: storage, shape: input.shape, data_offsets: [at, at + byteLength] }])
    at += byteLength
  }
  const members = nullPrototype(entries)
  if (Object.keys(members).length !== entries.length)
    throw invalid(duplicateName(tensors), 'is there twice, or has a reserved name')
  return { header: encodeHeader(JSON.stringify(members)), placed, dataBytes: at }
}

/** An object on which no key, not even `__proto__`, is special. */
function nullPrototype(entries: Iterable<[string, unknown]>): Record<string, unknown> {
  const object = Object.create(null) as Record<string, unknown>
  for (const [key, value] of entries) object[key] = value
  return object
}

function duplicateName(tensors: readonly SafetensorsInput[]): string {
  const seen = new Set(['__metadata__'])
  return tensors.find(({ name }) => seen.size === seen.add(name).size)?.name ?? '__metadata__'
}

/** Length, JSON and spaces up to a multiple of 64 bytes, so that the data starts at the beginning of a cache line. */
function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json)
  const total = Math.ceil((prefixBytes + text.length) / 64) * 64
  if (total - prefixBytes > maxHeaderBytes)
    throw new PatchbayError(
      'input.invalid',
      `The names and metadata take ${text.length} bytes, more than the format allows.`,
      {
        next: 'Write the tensors to several files.',
      },
    )
  const header = new Uint8Array(total).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(total - prefixBytes), true)
  header.set(text, prefixBytes)
  return header
}

function place(input: SafetensorsInput): Placed {
  const storage = input.storage ?? (typeof input.data === 'function' ? undefined : storageOf(input.data))
  if (storage === undefined) throw invalid(input.name, 'does not say how its elements are stored')
  const byteLength = byteLengthOf(storage, input.shape)
  if (byteLength === undefined)
    throw invalid(input.name, `has an impossible shape (${input.shape.join(' × ')})`)
  if (/\p{Surrogate}/u.test(input.name)) throw invalid(input.name, 'has a name that is not valid Unicode')
  return { input, storage, byteLength }
}

function bytesOf({ input, storage, byteLength }: Placed, data: TensorBytes): Uint8Array {
  if (data.byteLength !== byteLength)
    throw invalid(
      input.name,
      `of ${input.shape.join(' × ')} ${storage} takes ${byteLength} bytes, but ${data.byteLength} were given`,
    )
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function storageOf(data: TensorBytes): PlainType | undefined {
  if (data instanceof Float32Array) return 'F32'
  if (data instanceof Float64Array) return 'F64'
  if (data instanceof BigInt64Array) return 'I64'
  if (data instanceof BigUint64Array) return 'U64'
  if (data instanceof Int32Array) return 'I32'
  if (data instanceof Uint32Array) return 'U32'
  if (data instanceof Int16Array) return 'I16'
  if (data instanceof Int8Array) return 'I8'
  if (data instanceof Uint8Array) return 'U8'
  return undefined
}

const invalid = (name: string, problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `Tensor ${quoted(name)} ${problem}.`, {
    field: name,
    next: 'This can not be written as safetensors; change the tensor and try again.',
  })
