/**
 * Checks protobuf bytes against their schema before they are decoded: decoding recurses as deep as a file asks and makes
 * an object of every two bytes. Afterwards every length lies inside its parent, every field has its schema's type on the
 * wire, and depth and number of objects are bounded.
 */
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf'
import { broken } from './faults'

/** Control flow nests graphs in attributes in nodes in graphs; real models go some ten levels deep. */
const DEEPEST = 100
/** Real models have some hundred thousand nodes, attributes and dimensions. */
const MOST_MESSAGES = 2_000_000
/** Numbers of shapes, axes and small constants; large tensors lie in `raw_data` or outside. */
const MOST_NUMBERS = 16_000_000

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

/** @throws PatchbayError `file.malformed` with the offset in `bytes` at which it is wrong */
export function checkWire(schema: DescMessage, bytes: Uint8Array): void {
  new WireCheck(bytes).message(schema, 0, bytes.length, 0)
}

class WireCheck {
  #messages = 0
  #numbers = 0

  constructor(private readonly bytes: Uint8Array) {}

  message(schema: DescMessage, start: number, end: number, depth: number): void {
    if (depth > DEEPEST) throw broken(`messages are nested more than ${DEEPEST} deep`, { offset: start })
    if (++this.#messages > MOST_MESSAGES)
      throw broken(`there are more than ${MOST_MESSAGES} parts`, { offset: start })
    const fields = fieldsOf(schema)
    let at = start
    while (at < end) {
      const tag = this.#varint(at, end)
      const number = Math.floor(tag.value / 8)
      const wire = tag.value % 8
      const field = fields.get(number)
      if (number === 0) throw broken('a field has number 0', { offset: at })
      const value = this.#value(wire, tag.next, end)
      if (field !== undefined) this.#field(field, wire, value, schema, at, depth)
      at = value.end
    }
  }

  #field(
    field: DescField,
    wire: number,
    value: { start: number; end: number },
    schema: DescMessage,
    at: number,
    depth: number,
  ): void {
    if (wire === wireOf(field)) {
      if (field.message !== undefined) this.message(field.message, value.start, value.end, depth + 1)
      else if (field.fieldKind === 'list') this.#count(1, at)
      return
    }
    const packed = wire === BYTES && field.fieldKind === 'list' && field.message === undefined
    if (!packed) throw broken(`${schema.name}.${field.name} is written as another type`, { offset: at })
    this.#packed(wireOf(field), value, `${schema.name}.${field.name}`)
  }

  /** A packed list must be whole numbers to its end. */
  #packed(wire: number, { start, end }: { start: number; end: number }, name: string): void {
    const width = wire === FIXED64 ? 8 : wire === FIXED32 ? 4 : 0
    if (width > 0) {
      if ((end - start) % width !== 0) throw broken(`${name} ends within a number`, { offset: end })
      return this.#count((end - start) / width, start)
    }
    let count = 0
    for (let at = start; at < end; count++) at = this.#varint(at, end).next
    this.#count(count, start)
  }

  #count(numbers: number, at: number): void {
    this.#numbers += numbers
    if (this.#numbers > MOST_NUMBERS)
      throw broken(`more than ${MOST_NUMBERS} numbers lie outside of raw data`, { offset: at })
  }

  /** Where a field's value begins and ends. */
  #value(wire: number, at: number, end: number): { start: number; end: number } {
    if (wire === VARINT) return { start: at, end: this.#varint(at, end).next }
    if (wire === BYTES) {
      const length = this.#varint(at, end)
      return { start: length.next, end: within(length.next, length.value, end) }
    }
    if (wire === FIXED64) return { start: at, end: within(at, 8, end) }
    if (wire === FIXED32) return { start: at, end: within(at, 4, end) }
    throw broken(`a field has the wire type ${wire}`, { offset: at })
  }

  #varint(at: number, end: number): { value: number; next: number } {
    return readVarint(this.bytes, at, end, 0)
  }
}

function within(start: number, length: number, end: number): number {
  if (length > end - start)
    throw broken(`${length} bytes are promised where ${end - start} are left`, { offset: start })
  return start + length
}

/**
 * A variable-length number at `at`. Those beyond 2^53 lose their low bits: lengths and field numbers that large are
 * refused anyway, and other numbers are not read from here.
 * @param origin what is added to `at` where an error names it
 */
export function readVarint(
  bytes: Uint8Array,
  at: number,
  end: number,
  origin: number,
): { value: number; next: number } {
  let value = 0
  for (let i = 0; i < 10; i++) {
    if (at + i >= end) throw broken('the file ends within a number', { offset: origin + at + i })
    const byte = bytes[at + i]
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return { value, next: at + i + 1 }
  }
  throw broken('a number has more than ten bytes', { offset: origin + at })
}

const known = new Map<DescMessage, ReadonlyMap<number, DescField>>()

function fieldsOf(schema: DescMessage): ReadonlyMap<number, DescField> {
  const found = known.get(schema) ?? new Map(schema.fields.map((field) => [field.number, field]))
  known.set(schema, found)
  return found
}

/** How a field's single values are written. */
function wireOf(field: DescField): number {
  if (field.message !== undefined) return BYTES
  switch (field.scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return BYTES
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return FIXED32
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return FIXED64
    default:
      return VARINT
  }
}
