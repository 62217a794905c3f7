/**
 * Alignment of two token sequences by edit distance (Wagner and Fischer 1974), so that prompts of different length can be
 * compared position by position.
 */
import { PatchbayError } from './errors'
import type { AlignedPair } from './views'

/** Cost of a position that has no partner. */
export const GAP = 2
/**
 * Cost of pairing two different tokens: less than two gaps, so that "John" stands opposite "Mary", but more than one, so
 * that an equal token is worth shifting for: with one word inserted, all equal tokens behind it still meet.
 */
export const SUBSTITUTION = 3

/** Cells of the table of moves, one byte each. */
const MAX_CELLS = 2 ** 28

/** The last move of a cheapest path to a cell. */
const Move = { Pair: 0, LeftAlone: 1, RightAlone: 2 } as const

/**
 * Pairs left with right positions at the least total cost (equal 0, different 3, alone 2), in increasing order on both
 * sides. Of equally cheap alignments, pairs are preferred to gaps, and a left gap to a right one, from the end backwards:
 * the same input always gives the same pairs. O(n·m) time, one byte a cell after equal beginnings and ends are taken off.
 * @throws PatchbayError `prompt.too-long` where that would be more than 256 MB
 */
export function align(left: readonly number[], right: readonly number[]): AlignedPair[] {
  // Taking off an equal beginning or end never makes the optimum dearer: a pair of equals costs nothing.
  const shorter = Math.min(left.length, right.length)
  let start = 0
  while (start < shorter && left[start] === right[start]) start++
  let end = 0
  while (end < shorter - start && left[left.length - 1 - end] === right[right.length - 1 - end]) end++

  const pairs: AlignedPair[] = []
  for (let i = 0; i < start; i++) pairs.push({ left: i, right: i, same: true })
  const middle = alignMiddle(left.slice(start, left.length - end), right.slice(start, right.length - end))
  for (const pair of middle)
    pairs.push({
      left: pair.left === null ? null : pair.left + start,
      right: pair.right === null ? null : pair.right + start,
      same: pair.same,
    })
  for (let i = end; i > 0; i--) pairs.push({ left: left.length - i, right: right.length - i, same: true })
  return pairs
}

function alignMiddle(left: readonly number[], right: readonly number[]): AlignedPair[] {
  const columns = right.length + 1
  if ((left.length + 1) * columns > MAX_CELLS)
    throw new PatchbayError(
      'prompt.too-long',
      `Prompts that differ over ${left.length} and ${right.length} tokens are too long to be aligned.`,
      { next: 'Compare shorter prompts, or prompts that differ less.' },
    )
  const moves = fillMoves(left, right)
  const pairs: AlignedPair[] = []
  let i = left.length
  let j = right.length
  while (i > 0 || j > 0) {
    const move = moves[i * columns + j]
    if (move === Move.Pair) {
      i--
      j--
      pairs.push({ left: i, right: j, same: left[i] === right[j] })
    } else if (move === Move.LeftAlone) {
      i--
      pairs.push({ left: i, right: null, same: false })
    } else {
      j--
      pairs.push({ left: null, right: j, same: false })
    }
  }
  return pairs.reverse()
}

/** The last move of a cheapest path to each (i, j), [left + 1, right + 1]; costs are kept for one row at a time. */
function fillMoves(left: readonly number[], right: readonly number[]): Uint8Array {
  const columns = right.length + 1
  const moves = new Uint8Array((left.length + 1) * columns)
  const costs = Float64Array.from({ length: columns }, (_, j) => j * GAP)
  moves.fill(Move.RightAlone, 1, columns)
  for (let i = 1; i <= left.length; i++) {
    let diagonal = costs[0]
    costs[0] = i * GAP
    moves[i * columns] = Move.LeftAlone
    for (let j = 1; j < columns; j++) {
      const paired = diagonal + (left[i - 1] === right[j - 1] ? 0 : SUBSTITUTION)
      const leftAlone = costs[j] + GAP
      const rightAlone = costs[j - 1] + GAP
      diagonal = costs[j]
      const least = Math.min(paired, leftAlone, rightAlone)
      costs[j] = least
      moves[i * columns + j] =
        paired === least ? Move.Pair : leftAlone === least ? Move.LeftAlone : Move.RightAlone
    }
  }
  return moves
}
