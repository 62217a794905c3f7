/**
 * Reads an ONNX file by position and leaves the weights where they are: what comes back is the model's protobuf without
 * the large `raw_data` of its initialisers, and where in the file each of those lies. A model of many gigabytes is opened
 * in the memory that its graph takes, and sessions are later pointed at the same places.
 */
import { broken, unsupported } from './faults'
import { readVarint } from './wire'

/** A file that is read by position. */
export interface ByteSource {
  readonly size: number
  read(offset: number, length: number): Promise<Uint8Array>
}

export interface SlimModel {
  /** A ModelProto. */
  readonly bytes: Uint8Array
  /** By the initialiser's index in the graph: where its `raw_data` lies in the file. */
  readonly weights: ReadonlyMap<number, { readonly offset: number; readonly length: number }>
  /** The place in the file of a byte of `bytes`. */
  fileOffset(at: number): number
}

/** Initialisers up to this many bytes stay in the model: their values may be shapes, axes, constants. */
const SMALL = 1024
/** More than any graph takes without its weights. */
const LARGEST = 256 << 20
const WINDOW = 1 << 16

// Field numbers of onnx.proto.
const MODEL_GRAPH = 7
const GRAPH_INITIALISER = 5
const GRAPH_SPARSE_INITIALISER = 15
const TENSOR_RAW_DATA = 9

/** @throws PatchbayError `file.malformed`, `model.unsupported`, and what the source throws */
export async function readSlim(source: ByteSource): Promise<SlimModel> {
  const reader = new Fields(source)
  const weights = new Map<number, { offset: number; length: number }>()
  const pieces: Piece[] = []
  let graphs = 0
  for await (const field of reader.fields(0, source.size)) {
    if (!(field.number === MODEL_GRAPH && field.isMessage)) copy(pieces, field.start, field.end)
    else {
      if (++graphs > 1) throw broken('the model has two graphs', { offset: field.start })
      nest(pieces, MODEL_GRAPH, await slimGraph(reader, field, weights), field.start)
    }
  }
  if (graphs === 0) throw broken('there is no graph in it', { offset: 0 })
  return assemble(source, pieces, weights)
}

async function slimGraph(
  reader: Fields,
  graph: Field,
  weights: Map<number, { offset: number; length: number }>,
): Promise<Piece[]> {
  const pieces: Piece[] = []
  let index = 0
  for await (const field of reader.fields(graph.value, graph.end)) {
    if (field.number === GRAPH_SPARSE_INITIALISER)
      throw unsupported('the model has sparse weights', { offset: field.start })
    if (!(field.number === GRAPH_INITIALISER && field.isMessage)) copy(pieces, field.start, field.end)
    else {
      const tensor: Piece[] = []
      for await (const part of reader.fields(field.value, field.end)) {
        const large = part.number === TENSOR_RAW_DATA && part.isMessage && part.end - part.value > SMALL
        if (!large) copy(tensor, part.start, part.end)
        else if (weights.has(index)) throw broken('a tensor has two sets of raw data', { offset: part.start })
        else weights.set(index, { offset: part.value, length: part.end - part.value })
      }
      if (weights.has(index)) nest(pieces, GRAPH_INITIALISER, tensor, field.start)
      else copy(pieces, field.start, field.end)
      index++
    }
  }
  return pieces
}

/** A part of the file that is kept, or bytes that stand for the head of a message made shorter. */
type Piece =
  { readonly start: number; end: number } | { readonly start: number; readonly literal: Uint8Array }

const sizeOf = (piece: Piece): number => ('literal' in piece ? piece.literal.length : piece.end - piece.start)

function copy(pieces: Piece[], start: number, end: number): void {
  const last = pieces.at(-1)
  if (last !== undefined && !('literal' in last) && last.end === start) last.end = end
  else pieces.push({ start, end })
}

/** A message field with `content`. */
function nest(pieces: Piece[], number: number, content: readonly Piece[], start: number): void {
  const length = content.reduce((sum, piece) => sum + sizeOf(piece), 0)
  pieces.push({ start, literal: Uint8Array.from([...varint(number * 8 + 2), ...varint(length)]) })
  for (const piece of content) pieces.push(piece)
}

function varint(value: number): number[] {
  const bytes: number[] = []
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) + 0x80)
  return [...bytes, value]
}

async function assemble(
  source: ByteSource,
  pieces: readonly Piece[],
  weights: SlimModel['weights'],
): Promise<SlimModel> {
  const total = pieces.reduce((sum, piece) => sum + sizeOf(piece), 0)
  if (total > LARGEST)
    throw unsupported(`the graph takes ${total} bytes without its weights, more than ${LARGEST}`)
  const bytes = new Uint8Array(total)
  const starts: number[] = []
  let at = 0
  for (const piece of pieces) {
    starts.push(at)
    bytes.set(
      'literal' in piece ? piece.literal : await source.read(piece.start, piece.end - piece.start),
      at,
    )
    at += sizeOf(piece)
  }
  const fileOffset = (offset: number): number => {
    let low = 0
    for (let high = starts.length; high - low > 1;) {
      const middle = (low + high) >> 1
      if (starts[middle] <= offset) low = middle
      else high = middle
    }
    const piece = pieces[low]
    return 'literal' in piece ? piece.start : piece.start + offset - starts[low]
  }
  return { bytes, weights, fileOffset }
}

interface Field {
  readonly number: number
  /** Whether the value has a length of its own: a message, text or bytes. */
  readonly isMessage: boolean
  /** Of the tag. */
  readonly start: number
  /** Of the value. */
  readonly value: number
  readonly end: number
}

/** Walks the fields of a message in a file, reading a window at a time and skipping what is not looked into. */
class Fields {
  #window: Uint8Array = new Uint8Array(0)
  #origin = 0

  constructor(private readonly source: ByteSource) {}

  async *fields(start: number, end: number): AsyncGenerator<Field> {
    let at = start
    while (at < end) {
      const tag = await this.#varint(at, end)
      const number = Math.floor(tag.value / 8)
      const isMessage = tag.value % 8 === 2
      const head = isMessage ? await this.#varint(tag.next, end) : null
      const value = head === null ? tag.next : head.next
      const length = head === null ? await this.#width(tag.value % 8, value, end) : head.value
      if (length > end - value)
        throw broken(`${length} bytes are promised where ${end - value} are left`, { offset: value })
      yield { number, isMessage, start: at, value, end: value + length }
      at = value + length
    }
  }

  async #width(wire: number, at: number, end: number): Promise<number> {
    if (wire === 0) return (await this.#varint(at, end)).next - at
    if (wire === 1) return 8
    if (wire === 5) return 4
    throw broken(`a field has the wire type ${wire}`, { offset: at })
  }

  async #varint(at: number, end: number): Promise<{ value: number; next: number }> {
    const inside = at >= this.#origin && at + 10 <= this.#origin + this.#window.length
    if (!inside) {
      this.#origin = at
      this.#window = await this.source.read(at, Math.min(WINDOW, this.source.size - at))
    }
    const limit = Math.min(this.#window.length, end - this.#origin)
    const { value, next } = readVarint(this.#window, at - this.#origin, limit, this.#origin)
    return { value, next: next + this.#origin }
  }
}
