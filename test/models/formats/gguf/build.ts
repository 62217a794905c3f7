/** Builds GGUF files byte by byte, right or wrong in exactly one place. */

const ascii = (text: string) => Buffer.from(text, 'utf8')

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export function f32(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer)
}

export const text = (value: string | Uint8Array): Buffer => {
  const bytes = typeof value === 'string' ? ascii(value) : value
  return Buffer.concat([u64(bytes.length), bytes])
}

export const valueType = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
}

/** A key, its type and the bytes of its value. */
export const pair = (key: string, type: keyof typeof valueType, ...value: Uint8Array[]): Buffer =>
  Buffer.concat([text(key), u32(valueType[type]), ...value])

/** An array's element type, count and elements. */
export const array = (
  type: keyof typeof valueType,
  count: number | bigint,
  ...elements: Uint8Array[]
): Buffer => Buffer.concat([u32(valueType[type]), u64(count), ...elements])

export interface TensorSpec {
  name: string
  /** As the format writes them: innermost first. */
  dimensions: readonly (number | bigint)[]
  type: number
  /** From the start of the data. */
  offset: number | bigint
}

export const tensorInfo = ({ name, dimensions, type, offset }: TensorSpec): Buffer =>
  Buffer.concat([text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)])

export interface GgufSpec {
  magic?: string
  version?: number
  pairs?: readonly Uint8Array[]
  tensors?: readonly TensorSpec[]
  /** Instead of the true counts. */
  pairCount?: number | bigint
  tensorCount?: number | bigint
  alignment?: number
  data?: Uint8Array
}

export function gguf(spec: GgufSpec): Buffer {
  const { magic = 'GGUF', version = 3, pairs = [], tensors = [], alignment = 32, data } = spec
  const header = Buffer.concat([
    ascii(magic),
    u32(version),
    u64(spec.tensorCount ?? tensors.length),
    u64(spec.pairCount ?? pairs.length),
    ...pairs,
    ...tensors.map(tensorInfo),
  ])
  if (data === undefined) return header
  return Buffer.concat([header, Buffer.alloc((alignment - (header.length % alignment)) % alignment), data])
}

/** A small whole file: every kind of value, a float32 and a Q8_0 tensor. */
export function smallGguf(): Buffer {
  const block = Buffer.concat([
    Buffer.from([0x00, 0x3c]),
    Buffer.from(Int8Array.from({ length: 32 }, (_, i) => i - 16).buffer),
  ])
  return gguf({
    pairs: [
      pair('general.architecture', 'string', text('llama')),
      pair('a.uint8', 'uint8', Buffer.from([200])),
      pair('a.int8', 'int8', Buffer.from([0xff])),
      pair('a.uint16', 'uint16', Buffer.from([0xff, 0xff])),
      pair('a.int16', 'int16', Buffer.from([0xfe, 0xff])),
      pair('a.uint32', 'uint32', u32(4_000_000_000)),
      pair('a.int32', 'int32', u32(0xfffffffd)),
      pair('a.float32', 'float32', f32(0.5)),
      pair('a.bool', 'bool', Buffer.from([1])),
      pair('a.uint64', 'uint64', u64(2n ** 64n - 1n)),
      pair('a.int64', 'int64', u64(2n ** 64n - 2n)),
      pair('a.float64', 'float64', Buffer.from(Float64Array.of(1e300).buffer)),
      pair('tokens', 'array', array('string', 3, text('a'), text(''), text('Ġé'))),
      pair('types', 'array', array('int32', 2, u32(1), u32(0xffffffff))),
      pair('flags', 'array', array('bool', 3, Buffer.from([1, 0, 1]))),
      pair('nested', 'array', array('array', 2, array('uint8', 1, Buffer.from([7])), array('string', 0))),
    ],
    tensors: [
      { name: 'plain', dimensions: [2, 3], type: 0, offset: 0 },
      { name: 'blocks', dimensions: [32], type: 8, offset: 32 },
    ],
    data: Buffer.concat([f32(1, 2, 3, 4, 5, 6), Buffer.alloc(8), block]),
  })
}
