/** One row token by token: norms of its vectors at an output, and the values themselves where they are few. */
import type { TokenInfo } from '../../preload/prompt'
import type { Tensor } from '../../preload/tensor'
import { PatchbayError } from '../../preload/errors'
import { rowNorms } from '../analysis/statistics'
import type { OpenCollection } from './collection'
import { positionAxis } from './vectors'

export interface RowTokens {
  tokens: TokenInfo[]
  /** Positions that the values are of; those that were reduced, where they were. */
  positions: Int32Array
  /** L2 norm of each position's values; of all of them where the output has no positions. */
  norms: Float32Array
  values: Tensor | null
  dims: string[]
}

/** Numbers that are sent along; more are looked at in other ways. */
const MOST_VALUES = 1 << 20

/** @throws PatchbayError `input.invalid` where the values are not there */
export async function rowTokens(collection: OpenCollection, row: number, output: string): Promise<RowTokens> {
  const stored = await collection.row(row)
  const asked = collection.output(output)
  const values = await collection.valuesOf(stored, output)
  if (values === null)
    throw new PatchbayError('input.invalid', `Row ${row} has no values at ${output}.`, {
      field: 'row',
      next: 'They were not extracted yet, or removed from the store: resume or repeat the extraction.',
    })
  const { shape, data } = values
  const axis = positionAxis(asked)
  const positions = collection.positionsOf(stored, output)
  return {
    tokens: collection.tokensOf(stored),
    positions: Int32Array.from(positions),
    norms: axis < 0 ? rowNorms(data, data.length) : normsAlong(shape, data, axis),
    values: data.length <= MOST_VALUES ? { shape, data } : null,
    dims: asked.dims,
  }
}

/** L2 norm over all axes but one. */
function normsAlong(shape: readonly number[], data: Float32Array, axis: number): Float32Array {
  const inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1)
  const sums = new Float64Array(shape[axis])
  for (let i = 0; i < data.length; i++) sums[Math.floor(i / inner) % shape[axis]] += data[i] * data[i]
  return Float32Array.from(sums, Math.sqrt)
}
