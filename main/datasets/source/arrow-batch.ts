/**
 * Checks the lengths that a record batch says its columns have against the buffers that are there: flechette believes
 * them, and a damaged offset would make a text of everything behind it, in every row.
 */
import { Type, type Batch } from '@uwdata/flechette'

/** Types of `datasets`, pandas and Polars; dictionaries, views, unions and run-ends are none of them. */
const known: ReadonlySet<number> = new Set([
  Type.Null,
  Type.Int,
  Type.Float,
  Type.Binary,
  Type.Utf8,
  Type.Bool,
  Type.Decimal,
  Type.Date,
  Type.Time,
  Type.Timestamp,
  Type.Interval,
  Type.List,
  Type.Struct,
  Type.FixedSizeBinary,
  Type.FixedSizeList,
  Type.Map,
  Type.Duration,
  Type.LargeBinary,
  Type.LargeUtf8,
  Type.LargeList,
])

/**
 * @param rows how many values the batch has to have
 * @param most values that any part of it may have: a bit each is the least that one takes
 * @throws Error saying what does not fit
 */
export function checkBatch(batch: Batch<unknown>, rows: number, most: number): void {
  const { length, type, validity, values, offsets, nullCount } = batch
  if (!known.has(type.typeId)) throw new Error(`columns of the Arrow type ${type.typeId} can not be read`)
  if (length !== rows) throw new Error(`${rows} values are promised of a column that has ${length}`)
  if (length > most) throw new Error(`${length} values are promised in ${most / 8} bytes`)
  if (type.typeId === Type.Null) return
  if (nullCount > 0 && validity.length * 8 < length) throw new Error('the bits that mark nulls are too few')
  const [child] = (batch.children ?? []) as (Batch<unknown> | undefined)[]
  if (type.typeId === Type.Struct) {
    for (const each of batch.children as Batch<unknown>[]) checkBatch(each, rows, most)
  } else if (type.typeId === Type.FixedSizeList) {
    if (child !== undefined) checkBatch(child, length * type.stride, most)
  } else if (offsets !== undefined) {
    checkOffsets(offsets, length, child?.length ?? values.length)
    if (child !== undefined) checkBatch(child, child.length, most)
  } else {
    const held = type.typeId === Type.Bool ? values.length * 8 : values.length
    const needed = type.typeId === Type.FixedSizeBinary ? length * type.stride : length
    if (held < needed) throw new Error(`${needed} values are promised of a column that has ${held}`)
  }
}

/** Offsets have to ascend, and end inside what they point into. */
function checkOffsets(offsets: ArrayLike<number | bigint>, length: number, end: number): void {
  if (length === 0) return
  if (offsets.length <= length) throw new Error('a column has too few offsets')
  let last = Number(offsets[0])
  if (last < 0) throw new Error('an offset is negative')
  for (let i = 1; i <= length; i++) {
    const next = Number(offsets[i])
    if (next < last) throw new Error('the offsets of a column descend')
    last = next
  }
  if (last > end) throw new Error('a value ends behind its column')
}
