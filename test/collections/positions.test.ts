import { describe, expect, it } from 'vitest'
import { selectPositions, TokenPattern } from '../../main/collections/positions'
import type { ExtractPositions } from '../../preload/extraction'

const row = { tokens: [1, 5, 6, 7, 2], own: [[1, 4]] as const, span: [2, 4] as const }
const select = (rule: ExtractPositions, of: Parameters<typeof selectPositions>[1] = row): number[] =>
  selectPositions(rule, of, (token) => token > 5)

describe('selecting positions', () => {
  it.each<[ExtractPositions, number[]]>([
    [{ kind: 'all' }, [0, 1, 2, 3, 4]],
    [{ kind: 'last' }, [4]],
    [{ kind: 'text' }, [1, 2, 3]],
    [{ kind: 'at', positions: [-1, 0, 4] }, [4, 0]],
    [{ kind: 'every', step: 2, from: 1 }, [1, 3]],
    [{ kind: 'matching', pattern: '.' }, [2, 3]],
    [{ kind: 'span' }, [2, 3]],
    [{ kind: 'span-offset', from: 'last', offset: 1 }, [4]],
    [{ kind: 'span-offset', from: 'first', offset: -2 }, [0]],
  ])('%o gives %o', (rule, positions) => {
    expect(select(rule)).toEqual(positions)
  })

  it('says how long a row is that has no such position', () => {
    expect(() => select({ kind: 'at', positions: [5] })).toThrow('The row of 5 tokens has no position 5.')
    expect(() => select({ kind: 'at', positions: [-6] })).toThrow(/no position -1/)
    expect(() => select({ kind: 'span' }, { ...row, span: null })).toThrow(/no marked span/)
    expect(() => select({ kind: 'every', step: 1, from: 5 })).toThrow(/ends before/)
    expect(() => select({ kind: 'text' }, { ...row, own: [] })).toThrow(/own text/)
  })
})

describe('a pattern of tokens', () => {
  it('matches as a regular expression', () => {
    const pattern = new TokenPattern('^ ?the$')
    pattern.learn([
      { id: 3, text: ' the' },
      { id: 4, text: ' then' },
    ])
    pattern.learn([{ id: 5, text: 'the' }])
    expect([3, 4, 5, 6].map(pattern.matches)).toEqual([true, false, true, false])
  })

  it('refuses what is no regular expression', () => {
    expect(() => new TokenPattern('(')).toThrow(/no regular expression/)
  })

  it('stops one that does not end', () => {
    const pattern = new TokenPattern('^(a+)+$', 50)
    expect(() => pattern.learn([{ id: 1, text: `${'a'.repeat(60)}!` }])).toThrow(/does not come to an end/)
  })
})
