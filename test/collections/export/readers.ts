/** Small readers of what exports write, independent of what wrote it. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export interface Read {
  shape: number[]
  data: number[]
}

const floats = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
const integers = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 8 }, (_, i) => Number(bytes.readBigInt64LE(8 * i)))

const words = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))

/** safetensors: eight bytes of header length, JSON, elements. */
export function readSafetensors(file: string): {
  tensors: Map<string, Read>
  metadata: Record<string, string>
} {
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.subarray(8, start).toString()) as {
    __metadata__: Record<string, string>
  } & Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>
  const tensors = new Map<string, Read>()
  let end = 0
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    const part = bytes.subarray(start + offsets[0], start + offsets[1])
    tensors.set(name, { shape, data: dtype === 'I64' ? integers(part) : floats(part) })
    end = Math.max(end, start + offsets[1])
  }
  if (end !== bytes.length) throw new Error('there are bytes behind the last tensor')
  return { tensors, metadata }
}

/** npy, version 1.0. */
export function readNpy(bytes: Buffer): Read {
  if (bytes.subarray(0, 8).toString('latin1') !== '\x93NUMPY\x01\x00') throw new Error('no npy')
  const start = 10 + bytes.readUInt16LE(8)
  const header = bytes.subarray(10, start).toString()
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '').split(',').filter((n) => n.trim() !== '')
  const type = /'descr': '([^']*)'/.exec(header)?.[1]
  const body = bytes.subarray(start)
  return { shape: shape.map(Number), data: type === '<i8' ? integers(body) : floats(body) }
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
export function readZarr(folder: string): Read & { attributes: Record<string, unknown> } {
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
  const read = meta.data_type === 'uint32' ? words : floats
  for (const name of readdirSync(path.join(folder, 'c')).sort((a, b) => Number(a) - Number(b))) {
    const values = read(readFileSync(path.join(folder, 'c', name, rest)))
    if (values.length !== chunk.reduce((product, n) => product * n, 1))
      throw new Error('a chunk is not whole')
    data.push(...values)
  }
  return { shape, data: data.slice(0, shape[0] * inner), attributes: meta.attributes }
}
