import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { align, GAP, SUBSTITUTION } from '../../preload/align'
import type { AlignedPair } from '../../preload/views'

const short = fc.array(fc.nat(3), { maxLength: 6 })
const costOf = (pairs: readonly AlignedPair[]): number =>
  pairs.reduce(
    (sum, { left, right, same }) => sum + (left === null || right === null ? GAP : same ? 0 : SUBSTITUTION),
    0,
  )

/** The least cost by trying everything. */
function leastCost(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return GAP * (a.length + b.length)
  return Math.min(
    leastCost(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : SUBSTITUTION),
    leastCost(a.slice(1), b) + GAP,
    leastCost(a, b.slice(1)) + GAP,
  )
}

/** `a/b` for a substitution, `a=` for a match, `a-` and `-b` for gaps. */
const shown = (a: string, b: string): string => {
  const [left, right] = [a.split(' '), b.split(' ')]
  const ids = new Map([...new Set([...left, ...right])].map((word, i) => [word, i]))
  const idsOf = (words: string[]) => words.map((word) => ids.get(word) ?? -1)
  return align(idsOf(left), idsOf(right))
    .map((pair) => {
      if (pair.left === null) return `-${right[pair.right ?? 0]}`
      if (pair.right === null) return `${left[pair.left]}-`
      return pair.same ? `${left[pair.left]}=` : `${left[pair.left]}/${right[pair.right]}`
    })
    .join(' ')
}

describe('align', () => {
  it('uses every position of both sides once, in order, and says truly which are the same', () => {
    fc.assert(
      fc.property(short, short, (a, b) => {
        const pairs = align(a, b)
        expect(pairs.flatMap(({ left }) => (left === null ? [] : [left]))).toEqual([...a.keys()])
        expect(pairs.flatMap(({ right }) => (right === null ? [] : [right]))).toEqual([...b.keys()])
        for (const { left, right, same } of pairs) {
          expect(left === null && right === null).toBe(false)
          expect(same).toBe(left !== null && right !== null && a[left] === b[right])
        }
      }),
    )
  })

  it('costs as little as any alignment', () => {
    fc.assert(
      fc.property(short, short, (a, b) => {
        expect(costOf(align(a, b))).toBe(leastCost(a, b))
      }),
    )
  })

  it('costs the same from either side', () => {
    fc.assert(
      fc.property(short, short, (a, b) => {
        expect(costOf(align(a, b))).toBe(costOf(align(b, a)))
      }),
    )
  })

  it('pairs equal prompts position by position', () => {
    fc.assert(
      fc.property(short, (a) => {
        expect(align(a, a)).toEqual(a.map((_, i) => ({ left: i, right: i, same: true })))
      }),
    )
  })

  it('sets a changed word opposite the word it replaces', () => {
    expect(shown('the store , John gave', 'the store , Mary gave')).toBe('the= store= ,= John/Mary gave=')
  })

  it('shifts for an inserted word, so that all equal words behind it still meet', () => {
    expect(shown('I saw it', 'I really saw it')).toBe('I= -really saw= it=')
    expect(shown('a b c d e', 'b c d e f')).toBe('a- b= c= d= e= -f')
  })

  it('aligns prompts that share no token pair by pair, and what is left over with nothing', () => {
    expect(shown('a b c', 'x y')).toBe('a- b/x c/y')
  })

  it('puts an empty prompt opposite nothing', () => {
    expect(align([], [5])).toEqual([{ left: null, right: 0, same: false }])
    expect(align([], [])).toEqual([])
  })

  it('aligns two prompts of 2,000 tokens whose every 50th token differs or is missing', () => {
    const left = Array.from({ length: 2000 }, (_, i) => (i * 7919) % 1024)
    const right = left.flatMap((id, i) => (i % 100 === 0 ? [] : i % 100 === 50 ? [2000] : [id]))
    const pairs = align(left, right)
    expect(pairs.filter(({ same }) => same)).toHaveLength(2000 - 40)
    expect(costOf(pairs)).toBe(20 * GAP + 20 * SUBSTITUTION)
  })

  it('refuses prompts whose table of moves would not fit', () => {
    const left = new Array<number>(20_000).fill(1)
    const right = new Array<number>(20_000).fill(2)
    expect(() => align(left, right)).toThrow(expect.objectContaining({ code: 'prompt.too-long' }))
  })
})
