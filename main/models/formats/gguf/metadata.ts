/** GGUF's key-values: typed values, strings and (nested) arrays, each checked against what the file can hold. */
import { quoted } from '../malformed'
import type { Cursor } from './cursor'
import type { GgufArray, GgufNumbers, GgufNumberType, GgufValue } from './values'

const boolType = 7
const stringType = 8
const arrayType = 9

interface NumberType {
  readonly type: GgufNumberType | 'uint64' | 'int64'
  readonly bytes: number
  read(cursor: Cursor): GgufValue
  array(count: number): GgufNumbers
}

interface NumbersOf<T extends GgufNumbers> {
  readonly BYTES_PER_ELEMENT: number
  new (count: number): T
}

const number = (
  type: GgufNumberType,
  Numbers: NumbersOf<GgufNumbers>,
  read: (cursor: Cursor) => number,
): NumberType => ({
  type,
  bytes: Numbers.BYTES_PER_ELEMENT,
  read: (cursor) => ({ type, value: read(cursor) }),
  array: (count) => new Numbers(count),
})

const bigint = (
  type: 'uint64' | 'int64',
  Numbers: NumbersOf<GgufNumbers>,
  read: (cursor: Cursor) => bigint,
): NumberType => ({
  type,
  bytes: 8,
  read: (cursor) => ({ type, value: read(cursor) }),
  array: (count) => new Numbers(count),
})

/** The numeric types, by their number in the format. */
const numberTypes: ReadonlyMap<number, NumberType> = new Map([
  [0, number('uint8', Uint8Array, (cursor) => cursor.u8())],
  [1, number('int8', Int8Array, (cursor) => cursor.i8())],
  [2, number('uint16', Uint16Array, (cursor) => cursor.u16())],
  [3, number('int16', Int16Array, (cursor) => cursor.i16())],
  [4, number('uint32', Uint32Array, (cursor) => cursor.u32())],
  [5, number('int32', Int32Array, (cursor) => cursor.i32())],
  [6, number('float32', Float32Array, (cursor) => cursor.f32())],
  [10, bigint('uint64', BigUint64Array, (cursor) => cursor.u64())],
  [11, bigint('int64', BigInt64Array, (cursor) => cursor.i64())],
  [12, number('float64', Float64Array, (cursor) => cursor.f64())],
])

/** Bytes of the shortest element of an array, by its type. */
const shortestElement = (type: number): number | undefined =>
  type === boolType ? 1 : type === stringType ? 8 : type === arrayType ? 12 : numberTypes.get(type)?.bytes

/** The format's own limit for keys. */
const longestKey = 65535
/** The longest real values are chat templates of some hundred KB. */
const longestText = 64 << 20
/** No known writer nests arrays at all. */
const deepestArray = 4
/** In one file: each takes twelve bytes there and some hundred in memory. */
const mostNestedArrays = 65536

/** Bytes of the shortest possible key-value: a key of one byte, its type, a value of one byte. */
export const shortestPair = 8 + 1 + 4 + 1

/** What is being read, for errors: the key as it is, and in words. */
interface Subject {
  readonly key: string
  readonly what: string
}

/** Reads one key-value. @throws PatchbayError `file.malformed` naming key and byte */
export async function readPair(cursor: Cursor): Promise<[string, GgufValue]> {
  const key = await readName(cursor, 'a metadata key', longestKey)
  const subject = { key, what: `the metadata value ${quoted(key)}` }
  await cursor.fill(4, subject.what)
  return [key, await readValue(cursor, subject)]
}

/** Reads a name (a key or a tensor's): not empty, not longer than `longest` bytes, UTF-8. */
export async function readName(cursor: Cursor, what: string, longest: number): Promise<string> {
  await cursor.fill(8, what)
  const at = cursor.offset
  const length = cursor.length()
  if (length === 0 || length > longest)
    throw cursor.error(`${what} is said to be ${length} bytes long`, what, at)
  await cursor.fill(length, what)
  const name = cursor.text(length)
  if (name.includes('\ufffd')) throw cursor.error(`${what} is not UTF-8`, what, at)
  return name
}

async function readValue(cursor: Cursor, subject: Subject): Promise<GgufValue> {
  const at = cursor.offset
  const type = cursor.u32()
  if (type === arrayType) return readArray(cursor, subject, 1)
  if (type === stringType) {
    if (!cursor.has(8)) await cursor.fill(8, subject.what)
    const length = textLength(cursor, subject)
    if (!cursor.has(length)) await cursor.fill(length, subject.what)
    return { type: 'string', value: cursor.text(length) }
  }
  if (type === boolType) {
    await cursor.fill(1, subject.what)
    return { type: 'bool', value: readBool(cursor, subject) }
  }
  const numeric = numberTypes.get(type)
  if (numeric === undefined)
    throw cursor.error(
      `${subject.what} has the type ${type}, which the format does not have`,
      subject.key,
      at,
    )
  await cursor.fill(numeric.bytes, subject.what)
  return numeric.read(cursor)
}

async function readArray(cursor: Cursor, subject: Subject, depth: number): Promise<GgufArray> {
  const { key, what } = subject
  const at = cursor.offset
  if (depth > deepestArray)
    throw cursor.error(`${what} is an array nested more than ${deepestArray} deep`, key, at)
  if (depth > 1 && ++cursor.nestedArrays > mostNestedArrays)
    throw cursor.error(`${what} brings the nested arrays to more than ${mostNestedArrays}`, key, at)
  await cursor.fill(12, what)
  const type = cursor.u32()
  const count = cursor.length()
  const shortest = shortestElement(type)
  if (shortest === undefined)
    throw cursor.error(`${what} is an array of type ${type}, which the format does not have`, key, at)
  if (count > cursor.remaining / shortest)
    throw cursor.error(`${what} is said to have ${count} elements, more than the file has room for`, key, at)
  if (type === stringType)
    return { type: 'array', of: 'string', value: await readTexts(cursor, subject, count) }
  if (type === boolType) return { type: 'array', of: 'bool', value: await readBools(cursor, subject, count) }
  const numeric = numberTypes.get(type)
  if (numeric !== undefined) {
    const value = numeric.array(count)
    await cursor.readInto(new Uint8Array(value.buffer), what)
    return { type: 'array', of: numeric.type, value }
  }
  const value: GgufArray[] = []
  for (let i = 0; i < count; i++) value.push(await readArray(cursor, subject, depth + 1))
  return { type: 'array', of: 'array', value }
}

/** Token lists have a hundred thousand strings and more: nothing is awaited while the window has them. */
async function readTexts(cursor: Cursor, subject: Subject, count: number): Promise<string[]> {
  const texts: string[] = []
  for (let i = 0; i < count; i++) {
    if (!cursor.has(8)) await cursor.fill(8, subject.what)
    const length = textLength(cursor, subject)
    if (!cursor.has(length)) await cursor.fill(length, subject.what)
    texts.push(cursor.text(length))
  }
  return texts
}

function textLength(cursor: Cursor, { key, what }: Subject): number {
  const at = cursor.offset
  const length = cursor.length()
  if (length > longestText)
    throw cursor.error(`${what} has a string that is said to be ${length} bytes long`, key, at)
  return length
}

async function readBools(cursor: Cursor, subject: Subject, count: number): Promise<boolean[]> {
  const values: boolean[] = []
  for (let i = 0; i < count; i++) {
    if (!cursor.has(1)) await cursor.fill(1, subject.what)
    values.push(readBool(cursor, subject))
  }
  return values
}

function readBool(cursor: Cursor, { key, what }: Subject): boolean {
  const at = cursor.offset
  const byte = cursor.u8()
  if (byte > 1) throw cursor.error(`${what} should be true or false (1 or 0), but is ${byte}`, key, at)
  return byte === 1
}
