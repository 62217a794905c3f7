/**
 * The header of a safetensors file: eight bytes of length, then JSON that names every tensor. Validated as strictly as
 * the reference implementation does (contiguous, without overlap, covering the file exactly, sizes equal to the checked
 * product of shape and type), and duplicate names, which it does not see, are refused too.
 */
import { malformed, quoted } from '../malformed'
import { byteLengthOf, elementsOf, isPlainType, plainBytes, type PlainType } from '../storage'
import { isJsonObject, parseStrictJson, type JsonObject } from '../strict-json'

/** The reference implementation's own limit. */
export const maxHeaderBytes = 100_000_000

/** Bytes before the header. */
export const prefixBytes = 8

export interface HeaderTensor {
  name: string
  storage: PlainType
  shape: readonly number[]
  /** From the start of the file. */
  offset: number
  byteLength: number
}

export interface SafetensorsHeader {
  /** In the order in which they lie. */
  tensors: readonly HeaderTensor[]
  metadata: ReadonlyMap<string, string>
}

/**
 * The header's length from the first eight bytes.
 * @param prefix the first bytes of the file, up to eight
 * @param fileBytes size of the whole file
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (fileBytes < prefixBytes || prefix.length < prefixBytes)
    throw malformed(file, `a safetensors file has at least ${prefixBytes} bytes, this one has ${fileBytes}`, {
      field: 'header length',
      offset: 0,
    })
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true)
  if (length > BigInt(maxHeaderBytes) || prefixBytes + Number(length) > fileBytes)
    throw malformed(
      file,
      `the header is said to be ${length} bytes long, which is more than ${
        length > BigInt(maxHeaderBytes)
          ? `the format allows (${maxHeaderBytes})`
          : `the file has (${fileBytes})`
      }`,
      { field: 'header length', offset: 0 },
    )
  return Number(length)
}

/**
 * @param bytes the header's JSON
 * @param fileBytes size of the whole file
 * @throws PatchbayError `file.malformed` naming file, tensor and byte
 */
export function parseHeader(bytes: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const dataStart = prefixBytes + bytes.length
  const root = parseStrictJson(decodeUtf8(bytes, file), {
    file,
    start: prefixBytes,
    maxDepth: 8,
    // The format's numbers are whole: anything else becomes NaN and fails where it is used.
    number: (literal) => (/^(0|[1-9]\d*)$/.test(literal) ? Number(literal) : NaN),
  })
  if (!isJsonObject(root)) throw malformed(file, 'the header is not a JSON object', { offset: prefixBytes })
  const tensors: HeaderTensor[] = []
  let metadata: ReadonlyMap<string, string> = new Map()
  for (const [name, value] of Object.entries(root)) {
    if (name === '__metadata__') metadata = parseMetadata(value, file)
    else tensors.push(parseTensor(name, value, dataStart, file))
  }
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)
  checkCoverage(tensors, dataStart, fileBytes, file)
  return { tensors, metadata }
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  if (bytes[0] !== 0x7b) throw malformed(file, 'the header does not begin with {', { offset: prefixBytes })
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed(file, 'the header is not UTF-8', { field: 'header', offset: prefixBytes, cause })
  }
}

function parseMetadata(value: unknown, file: string): ReadonlyMap<string, string> {
  const place = { field: '__metadata__', offset: prefixBytes }
  if (value === null) return new Map()
  if (!isJsonObject(value)) throw malformed(file, '__metadata__ is not an object', place)
  const metadata = new Map<string, string>()
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw malformed(file, `__metadata__ ${quoted(key)} is not a string`, place)
    metadata.set(key, text)
  }
  return metadata
}

function parseTensor(name: string, value: unknown, dataStart: number, file: string): HeaderTensor {
  const bad = (problem: string, offset = prefixBytes) =>
    malformed(file, `tensor ${quoted(name)} ${problem}`, { field: name, offset })
  if (!isJsonObject(value)) throw bad('is not described by an object')
  const { dtype, shape } = value
  if (typeof dtype !== 'string') throw bad('has no dtype')
  if (!isPlainType(dtype)) throw bad(`has the dtype ${quoted(dtype)}, which is unknown`)
  if (!isNumbers(shape)) throw bad('has no shape (a list of whole numbers)')
  const [begin, end] = parseOffsets(value, bad)
  if (elementsOf(shape) === undefined) throw bad(`has a shape whose product overflows (${shape.join(' × ')})`)
  const expected = byteLengthOf(dtype, shape)
  if (expected !== end - begin)
    throw bad(
      `of ${shape.join(' × ')} ${dtype} (${plainBytes[dtype]} bytes each) takes ${expected ?? 'too many'} bytes, but its data_offsets give it ${end - begin}`,
      dataStart + begin,
    )
  return { name, storage: dtype, shape, offset: dataStart + begin, byteLength: end - begin }
}

function parseOffsets(value: JsonObject, bad: (problem: string) => Error): [number, number] {
  const offsets = value.data_offsets
  if (!isNumbers(offsets) || offsets.length !== 2) throw bad('has no data_offsets (two whole numbers)')
  const [begin, end] = offsets
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end) || end < begin)
    throw bad(`has impossible data_offsets (${begin} to ${end})`)
  return [begin, end]
}

const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'number')

/** The tensors, sorted by offset, must follow one another without gap or overlap and end where the file ends. */
function checkCoverage(
  tensors: readonly HeaderTensor[],
  dataStart: number,
  fileBytes: number,
  file: string,
): void {
  let expected = dataStart
  for (const { name, offset, byteLength } of tensors) {
    if (offset !== expected)
      throw malformed(
        file,
        offset < expected
          ? `tensor ${quoted(name)} overlaps the one before it`
          : `there are ${offset - expected} bytes of no tensor before tensor ${quoted(name)}`,
        { field: name, offset },
      )
    expected = offset + byteLength
    if (expected > fileBytes)
      throw malformed(
        file,
        `tensor ${quoted(name)} ends ${expected - fileBytes} bytes after the end of the file`,
        {
          field: name,
          offset,
        },
      )
  }
  if (expected < fileBytes)
    throw malformed(file, `there are ${fileBytes - expected} bytes after the last tensor`, {
      offset: expected,
    })
}
