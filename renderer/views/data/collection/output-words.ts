/** Outputs in words. */
import type { CollectionOutput } from '../../../../preload/collections'
import { formatCount, formatNumber } from '../../../charts/numbers'

/** "[pos, d_model 128] · float16, at most 0.05 % off" */
export function outputHint({ dims, sizes, dtype, error }: CollectionOutput): string {
  const shape = dims.map((dim, i) => (sizes[i] === null ? dim : `${dim} ${sizes[i]}`)).join(', ')
  const off = error === 0 ? 'exact' : `at most ${formatNumber(100 * error, 2)} % off`
  return `[${shape}] · ${dtype}, ${off}`
}

/** "every 3rd row" */
export function everyWords(n: number): string {
  const ending = n % 100 >= 11 && n % 100 <= 13 ? 'th' : ({ 1: 'st', 2: 'nd', 3: 'rd' }[n % 10] ?? 'th')
  return `every ${formatCount(n)}${ending} row`
}

/** Size of the last axis; null where it is none of fixed size. */
export const widthOf = ({ sizes }: CollectionOutput): number | null => sizes.at(-1) ?? null
