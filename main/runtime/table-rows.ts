/**
 * Rows of a table, read from the checkpoint's own file when a run needs them. A graph over a table that stays quantised
 * would map three files' worth of pages for every token, beside the copy that the unembedding multiplies with; one over any
 * table makes it resident little by little, which is too much under a memory budget.
 */
import type { Checkpoint } from '../models/formats/checkpoint'
import { decodeFloat32 } from '../models/formats/decode'
import { unitOf } from '../models/formats/storage'
import { contiguousPart, type Weight } from '../models/weights'
import { floats, type Feeds } from './session'

/** Indices of rows → those rows in float32 [indices, width]. @throws PatchbayError `file.*` where the file can't be read */
export type RowReader = (indices: readonly number[]) => Promise<Float32Array>

/** Reads rows of a weight [rows, width] as they lie; null where they do not lie one after the other in whole blocks. */
export function rowReader(checkpoint: Checkpoint, table: Weight): RowReader | null {
  const entry = checkpoint.tensors.get(table.tensor)
  const part = contiguousPart(table)
  const [, width] = table.shape
  if (entry === undefined || part === null || table.shape.length !== 2) return null
  const { storage } = entry
  const { elements, bytes } = unitOf(storage)
  if (part.offset % elements !== 0 || width % elements !== 0) return null
  const rowBytes = (width / elements) * bytes
  const start = (part.offset / elements) * bytes
  return async (indices) => {
    const read = async (row: number): Promise<[number, Float32Array]> => {
      const from = start + row * rowBytes
      const decoded = new Float32Array(width)
      decodeFloat32(storage, await checkpoint.readRaw(table.tensor, from, from + rowBytes), decoded)
      return [row, decoded]
    }
    const rows = new Map(await Promise.all([...new Set(indices)].map(read)))
    const result = new Float32Array(indices.length * width)
    indices.forEach((row, i) => result.set(rows.get(row) ?? [], i * width))
    return result
  }
}

/** Feeds of an embedding's graph with the rows of its tokens in their place, where it does not look them up itself. */
export async function withTableRows({ tokens, ...others }: Feeds, reader: RowReader | null): Promise<Feeds> {
  if (reader === null) return { tokens, ...others }
  const rows = await reader(Array.from(tokens.data as BigInt64Array, Number))
  return { ...others, rows: floats(rows, [...tokens.dims, rows.length / tokens.size]) }
}
