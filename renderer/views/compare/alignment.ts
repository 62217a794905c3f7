/** Putting two prompts of different length on one axis: the aligned pairs, left and right values on them, and words. */
import type { AlignedPair } from '../../../preload/views'
import { alignedKind, type AlignedKind } from '../../components/aligned-kind'

export type Side = 'left' | 'right'

/** "12 the same, 1 changed, 2 only left" */
export function summary(pairs: readonly AlignedPair[]): string {
  const words: Record<AlignedKind, string> = {
    same: 'the same',
    changed: 'changed',
    'only-left': 'only left',
    'only-right': 'only right',
  }
  const counts = new Map<AlignedKind, number>()
  for (const pair of pairs) counts.set(alignedKind(pair), (counts.get(alignedKind(pair)) ?? 0) + 1)
  return (Object.keys(words) as AlignedKind[])
    .filter((kind) => counts.has(kind))
    .map((kind) => `${counts.get(kind)} ${words[kind]}`)
    .join(', ')
}

/** Index of the pair that holds a side's position; 0 where there is none. */
export const pairAt = (pairs: readonly AlignedPair[], side: Side, position: number): number =>
  Math.max(
    0,
    pairs.findIndex((pair) => pair[side] === position),
  )

/** Values of one side, [rows, pos], on the common axis, [rows, aligned]; NaN where the side has no token. */
export function onPairs(
  values: ArrayLike<number>,
  rows: number,
  positions: number,
  pairs: readonly AlignedPair[],
  side: Side,
): Float32Array {
  const out = new Float32Array(rows * pairs.length)
  for (let r = 0; r < rows; r++)
    pairs.forEach((pair, i) => {
      const at = pair[side]
      out[r * pairs.length + i] = at === null ? NaN : values[r * positions + at]
    })
  return out
}

/** One head's pattern [q, k] of a side on the common axis of both, [aligned, aligned]; NaN where the side has no token. */
export function squareOnPairs(
  pattern: ArrayLike<number>,
  positions: number,
  pairs: readonly AlignedPair[],
  side: Side,
): Float32Array {
  const n = pairs.length
  const out = new Float32Array(n * n).fill(NaN)
  pairs.forEach((query, q) => {
    const from = query[side]
    if (from === null) return
    pairs.forEach((key, k) => {
      const to = key[side]
      if (to !== null) out[q * n + k] = pattern[from * positions + to]
    })
  })
  return out
}

/** right − left, elementwise; NaN where either is. */
export const minus = (right: Float32Array, left: Float32Array): Float32Array =>
  right.map((value, i) => value - left[i])

/**
 * Labels of the common axis: the side's position and token, `–` where it has none. For the difference both are named
 * where they differ.
 */
export function pairLabels(
  pairs: readonly AlignedPair[],
  left: readonly string[],
  right: readonly string[],
  of: Side | 'both',
): string[] {
  return pairs.map((pair) => {
    const l = pair.left === null ? '–' : (left[pair.left] ?? '')
    const r = pair.right === null ? '–' : (right[pair.right] ?? '')
    if (of === 'left') return pair.left === null ? '–' : `${pair.left} ${l}`
    if (of === 'right') return pair.right === null ? '–' : `${pair.right} ${r}`
    return pair.same ? l : `${l} → ${r}`
  })
}
