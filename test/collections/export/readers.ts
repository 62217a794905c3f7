/** Small readers of what exports write, independent of what wrote it. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export interface Read {
  shape: number[]
  data: number[]
}

/** How each format calls its types. */
const kinds: Readonly<Record<string, (bytes: Buffer) => number[]>> = {
  I64: (bytes) => integers(bytes),
  F32: (bytes) => floats(bytes),
  F16: (bytes) => halves(bytes),
  BF16: (bytes) => brains(bytes),
  '<i8': (bytes) => integers(bytes),
  '<f4': (bytes) => floats(bytes),
  '<f2': (bytes) => halves(bytes),
  uint32: (bytes) => words(bytes),
  float32: (bytes) => floats(bytes),
  float16: (bytes) => halves(bytes),
}
function elements(type: string, bytes: Buffer): number[] {
  if (!Object.hasOwn(kinds, type)) throw new Error(`${type} is none of the types that an export has`)
  return kinds[type](bytes)
}

const floats = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
const integers = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 8 }, (_, i) => Number(bytes.readBigInt64LE(8 * i)))

/** float16 by its definition: sign, five bits of exponent, ten of mantissa. */
function half(bits: number): number {
  const [sign, exponent, mantissa] = [bits >> 15 === 1 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25))
}
const halves = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 2 }, (_, i) => half(bytes.readUInt16LE(2 * i)))
/** bfloat16: the first half of a float32. */
const brains = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 2 }, (_, i) =>
    Buffer.from([0, 0, bytes[2 * i], bytes[2 * i + 1]]).readFloatLE(0),
  )

const words = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))

/** safetensors: eight bytes of header length, JSON, elements. */
export function readSafetensors(file: string): {
  tensors: Map<string, Read>
  /** By the tensors' names. */
  types: Map<string, string>
  metadata: Record<string, string>
} {
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.subarray(8, start).toString()) as {
    __metadata__: Record<string, string>
  } & Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>
  const tensors = new Map<string, Read>()
  const types = new Map<string, string>()
  let end = 0
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    const part = bytes.subarray(start + offsets[0], start + offsets[1])
    tensors.set(name, { shape, data: elements(dtype, part) })
    types.set(name, dtype)
    end = Math.max(end, start + offsets[1])
  }
  if (end !== bytes.length) throw new Error('there are bytes behind the last tensor')
  return { tensors, types, metadata }
}

/** npy, version 1.0. */
export function readNpy(bytes: Buffer): Read & { type: string } {
  if (bytes.subarray(0, 8).toString('latin1') !== '\x93NUMPY\x01\x00') throw new Error('no npy')
  const start = 10 + bytes.readUInt16LE(8)
  const header = bytes.subarray(10, start).toString()
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '').split(',').filter((n) => n.trim() !== '')
  const type = /'descr': '([^']*)'/.exec(header)?.[1] ?? ''
  return { shape: shape.map(Number), data: elements(type, bytes.subarray(start)), type }
}

/** Files of a ZIP whose entries are stored, by its central directory. */
export function readZip(bytes: Buffer): Map<string, Buffer> {
  const end = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  const files = new Map<string, Buffer>()
  let at = bytes.readUInt32LE(end + 16)
  for (let i = bytes.readUInt16LE(end + 10); i > 0; i--) {
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset))
    const size = bytes.readUInt32LE(at + 20)
    const local = bytes.readUInt32LE(at + 42)
    if (bytes.readUInt16LE(at + 10) !== 0) throw new Error('an entry is compressed')
    const name = bytes.subarray(at + 46, at + 46 + nameLength).toString()
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28)
    files.set(name, bytes.subarray(start, start + size))
    at += 46 + nameLength + extra + comment
  }
  return files
}

/** A Zarr array of version 3 with uncompressed chunks. */
export function readZarr(folder: string): Read & { attributes: Record<string, unknown>; type: string } {
  const meta = JSON.parse(readFileSync(path.join(folder, 'zarr.json'), 'utf8')) as {
    zarr_format: number
    shape: number[]
    data_type: string
    chunk_grid: { configuration: { chunk_shape: number[] } }
    codecs: { name: string }[]
    attributes: Record<string, unknown>
  }
  if (meta.zarr_format !== 3 || meta.codecs.map(({ name }) => name).join() !== 'bytes')
    throw new Error('other codecs')
  const { shape } = meta
  const chunk = meta.chunk_grid.configuration.chunk_shape
  const inner = shape.slice(1).reduce((product, n) => product * n, 1)
  const rest = path.join(...shape.slice(1).map(() => '0'), '.')
  const data: number[] = []
  for (const name of readdirSync(path.join(folder, 'c')).sort((a, b) => Number(a) - Number(b))) {
    const values = elements(meta.data_type, readFileSync(path.join(folder, 'c', name, rest)))
    if (values.length !== chunk.reduce((product, n) => product * n, 1))
      throw new Error('a chunk is not whole')
    data.push(...values)
  }
  return { shape, data: data.slice(0, shape[0] * inner), attributes: meta.attributes, type: meta.data_type }
}
