/** The header of a GGUF file (versions 2 and 3): metadata and where each tensor lies, validated before any of it is used. */
import type { TensorEntry } from '../checkpoint'
import { PatchbayError } from '../../../../preload/errors'
import { malformed, quoted } from '../malformed'
import type { PositionalFile } from '../positional-file'
import { byteLengthOf, unitOf } from '../storage'
import { Cursor } from './cursor'
import { readName, readPair, shortestPair } from './metadata'
import { ggufStorage, unreadType } from './tensor-types'
import type { GgufMetadata, GgufValue } from './values'

export interface GgufHeader {
  version: number
  metadata: GgufMetadata
  tensors: ReadonlyMap<string, TensorEntry>
  warnings: string[]
}

/** Bytes of the shortest tensor entry: a name of one byte, no dimensions, type, offset. */
const shortestTensor = 8 + 1 + 4 + 4 + 8
/** ggml allows 63 bytes; some converters write more. */
const longestName = 1024
/** ggml's GGML_MAX_DIMS. */
const mostDimensions = 4
const defaultAlignment = 32
/** Far beyond real files, which have some thousand tensors and some fifty metadata values: entries cost memory. */
const mostTensors = 262_144
const mostPairs = 65_536

/** @throws PatchbayError `file.malformed` naming field and byte; `model.unsupported` for a version or type that is not read */
export async function readGgufHeader(source: PositionalFile): Promise<GgufHeader> {
  const cursor = new Cursor(source)
  const { version, tensorCount, pairCount } = await readPreamble(cursor, source)
  const metadata = await readMetadata(cursor, pairCount)
  const alignment = alignmentOf(metadata, source.path)
  const infos: TensorInfo[] = []
  for (let i = 0; i < tensorCount; i++) infos.push(await readTensorInfo(cursor))
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment
  const tensors = locate(infos, source, dataStart, alignment)
  const warnings =
    cursor.invalidTexts > 0
      ? [
          `${cursor.invalidTexts} strings of the metadata are not UTF-8; what could not be read in them is shown as \ufffd.`,
        ]
      : []
  return { version, metadata, tensors, warnings }
}

async function readPreamble(cursor: Cursor, source: PositionalFile) {
  await cursor.fill(Math.min(4, source.size), 'the magic')
  if (source.size < 4 || cursor.u32() !== 0x46554747)
    throw malformed(source.path, 'does not begin with GGUF', { field: 'magic', offset: 0 })
  await cursor.fill(4, 'the version')
  const version = cursor.u32()
  checkVersion(version, source.path)
  await cursor.fill(16, 'the counts of tensors and metadata')
  const at = cursor.offset
  const [tensorCount, pairCount] = [cursor.length(), cursor.length()]
  const room = cursor.remaining
  const check = (
    count: number,
    most: number,
    shortest: number,
    what: string,
    field: string,
    offset: number,
  ) => {
    if (count > room / shortest)
      throw cursor.error(`${count} ${what} are promised, more than the file has room for`, field, offset)
    if (count > most)
      throw cursor.error(`${count} ${what} are promised; at most ${most} are read`, field, offset)
  }
  check(tensorCount, mostTensors, shortestTensor, 'tensors', 'tensor_count', at)
  check(pairCount, mostPairs, shortestPair, 'metadata values', 'metadata_kv_count', at + 8)
  return { version, tensorCount, pairCount }
}

function checkVersion(version: number, file: string): void {
  if (version === 2 || version === 3) return
  const place = { field: 'version', offset: 4 }
  if ((version & 0xffff) === 0 && version !== 0)
    throw malformed(file, 'is a big-endian GGUF file', {
      ...place,
      next: 'Convert it to little-endian (gguf-py: gguf_convert_endian.py).',
    })
  if (version === 1 || version > 3)
    throw new PatchbayError(
      'model.unsupported',
      `${quoted(file)} is GGUF version ${version}; versions 2 and 3 are read.`,
      {
        file,
        ...place,
        next:
          version === 1
            ? 'Convert the model again with a current converter.'
            : 'Update Patchbay, or convert to version 3.',
      },
    )
  throw malformed(file, `has the GGUF version ${version}, which does not exist`, place)
}

async function readMetadata(cursor: Cursor, count: number): Promise<GgufMetadata> {
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < count; i++) {
    const at = cursor.offset
    const [key, value] = await readPair(cursor)
    if (metadata.has(key)) throw cursor.error(`the metadata key ${quoted(key)} is there twice`, key, at)
    metadata.set(key, value)
  }
  return metadata
}

function alignmentOf(metadata: GgufMetadata, file: string): number {
  const key = 'general.alignment'
  const found = metadata.get(key)
  if (found === undefined) return defaultAlignment
  if (found.type !== 'uint32')
    throw malformed(file, `${key} should be a uint32, but is stored as ${found.type}`, { field: key })
  if (found.value === 0 || (found.value & (found.value - 1)) !== 0)
    throw malformed(file, `${key} should be a power of two, but is ${found.value}`, { field: key })
  return found.value
}

type TensorInfo = Omit<TensorEntry, 'file'>

/** One tensor's entry; its offset still counts from the start of the data. */
async function readTensorInfo(cursor: Cursor): Promise<TensorInfo> {
  const start = cursor.offset
  const name = await readName(cursor, "a tensor's name", longestName)
  const what = `the entry of tensor ${quoted(name)}`
  const bad = (problem: string) => cursor.error(`tensor ${quoted(name)} ${problem}`, name, start)
  await cursor.fill(4, what)
  const dimensions = cursor.u32()
  if (dimensions > mostDimensions)
    throw bad(`has ${dimensions} dimensions; at most ${mostDimensions} are possible`)
  await cursor.fill(dimensions * 8 + 12, what)
  const shape = Array.from({ length: dimensions }, () => cursor.length()).reverse()
  const type = cursor.u32()
  const offset = cursor.length()
  const storage = ggufStorage(type)
  if (storage === undefined) {
    const known = unreadType(type)
    if (known === undefined) throw bad(`has the type ${type}, which is unknown`)
    throw new PatchbayError(
      'model.unsupported',
      `Tensor ${quoted(name)} is stored as ${known}, which Patchbay does not read.`,
      {
        field: name,
        offset: start,
        next: 'Choose a file with another quantisation of this model.',
      },
    )
  }
  const byteLength = byteLengthOf(storage, shape)
  if (byteLength === undefined)
    throw bad(
      `has an impossible shape (${shape.join(' × ')}): it overflows, or its rows are not whole blocks of ${unitOf(storage).elements} ${storage} elements`,
    )
  return { name, storage, shape, offset, byteLength }
}

/** Tensors by name with offsets from the start of the file: aligned, inside of it, none twice, none over another. */
function locate(
  infos: readonly TensorInfo[],
  source: PositionalFile,
  dataStart: number,
  alignment: number,
): ReadonlyMap<string, TensorEntry> {
  const tensors = new Map<string, TensorEntry>()
  for (const info of infos) {
    const offset = dataStart + info.offset
    const bad = (problem: string) =>
      malformed(source.path, `tensor ${quoted(info.name)} ${problem}`, { field: info.name, offset })
    if (tensors.has(info.name)) throw bad('is there twice')
    if (info.offset % alignment !== 0) throw bad(`does not begin at a multiple of ${alignment} bytes`)
    if (offset + info.byteLength > source.size)
      throw bad(`ends ${offset + info.byteLength - source.size} bytes after the end of the file`)
    tensors.set(info.name, { ...info, offset, file: source.path })
  }
  const inOrder = [...tensors.values()].filter((t) => t.byteLength > 0).sort((a, b) => a.offset - b.offset)
  inOrder.forEach((tensor, i) => {
    const before = inOrder[i - 1]
    if (i > 0 && before.offset + before.byteLength > tensor.offset)
      throw malformed(source.path, `tensor ${quoted(tensor.name)} overlaps tensor ${quoted(before.name)}`, {
        field: tensor.name,
        offset: tensor.offset,
      })
  })
  return tensors
}
