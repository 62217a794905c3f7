/**
 * The header of an Arrow message (Arrow columnar format, Message.fbs and Schema.fbs): its kind, the length of its body, and a
 * check that the lists in it lie inside it. flechette reads as many elements as a list says it has.
 */
import { mostColumns } from '../limits'

export const messageKinds = { schema: 1, dictionary: 2, batch: 3 } as const

export interface ArrowHeader {
  readonly kind: number
  /** Bytes behind the header. */
  readonly bodySize: number
}

const unionType = 14
const deepestField = 32

/** @throws Error, RangeError where the header does not hold what it says */
export function readHeader(bytes: Uint8Array): ArrowHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const message = new FlatTable(view, view.getInt32(0, true))
  const kindAt = message.field(1)
  const kind = kindAt === null ? 0 : view.getUint8(kindAt)
  const sizeAt = message.field(3)
  const header = message.table(2)
  if (header !== null && kind === messageKinds.schema) {
    header.list(2, 4)
    header.list(3, 8)
    checkFields(header.tables(1), { left: mostColumns }, 0)
  } else if (header !== null && kind === messageKinds.batch) {
    header.list(1, 16)
    header.list(2, 16)
    header.list(4, 8)
  }
  return { kind, bodySize: sizeAt === null ? 0 : Number(view.getBigInt64(sizeAt, true)) }
}

function checkFields(fields: readonly FlatTable[], budget: { left: number }, depth: number): void {
  if (depth > deepestField) throw new Error('its columns are nested too deep')
  for (const field of fields) {
    if (--budget.left < 0) throw new Error(`more than ${mostColumns} columns`)
    if (field.byte(2) === unionType) throw new Error('unions can not be read')
    field.list(6, 4)
    checkFields(field.tables(5), budget, depth + 1)
  }
}

/** A table of FlatBuffers: fields are found through its vtable, everything by offsets, which have to lie in the buffer. */
class FlatTable {
  private readonly fields: number
  private readonly end: number

  constructor(
    private readonly view: DataView,
    private readonly at: number,
  ) {
    this.fields = at - view.getInt32(at, true)
    this.end = view.getUint16(this.fields, true)
  }

  /** Where a field's value stands; null for one that is left out. */
  field(index: number): number | null {
    const slot = 4 + 2 * index
    const offset = slot < this.end ? this.view.getUint16(this.fields + slot, true) : 0
    return offset === 0 ? null : this.at + offset
  }

  byte(index: number): number {
    const at = this.field(index)
    return at === null ? 0 : this.view.getUint8(at)
  }

  table(index: number): FlatTable | null {
    const at = this.field(index)
    return at === null ? null : new FlatTable(this.view, at + this.view.getUint32(at, true))
  }

  /** Where a list's elements stand. */
  list(index: number, elementSize: number): { at: number; length: number } {
    const field = this.field(index)
    if (field === null) return { at: 0, length: 0 }
    const at = field + this.view.getUint32(field, true)
    const length = this.view.getUint32(at, true)
    if (at + 4 + length * elementSize > this.view.byteLength)
      throw new RangeError('a list ends behind its header')
    return { at: at + 4, length }
  }

  tables(index: number): FlatTable[] {
    const { at, length } = this.list(index, 4)
    return Array.from({ length }, (_, i) => {
      const offset = at + 4 * i
      return new FlatTable(this.view, offset + this.view.getUint32(offset, true))
    })
  }
}
