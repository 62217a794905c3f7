import { describe, expect, it } from 'vitest'
import { mirrored, mirroredPositions } from '../../../renderer/pairs/mirrored'
import { wordTokens } from '../support/encode-by-words'

const pair = (clean: string, corrupt: string) => ({ clean: wordTokens(clean), corrupt: wordTokens(corrupt) })
const token = (text: string) => ({ text })

describe('the token of another pair that plays the part of a chosen one', () => {
  const from = pair('When Mary and John went, John gave to', 'When Mary and John went, Mary gave to')

  it('is the name in its place', () => {
    const to = pair('When Tom and Ann went, Ann gave to', 'When Tom and Ann went, Tom gave to')
    expect(mirrored(token(' Mary'), from, to)?.text).toBe(' Tom')
    expect(mirrored(token(' John'), from, to)?.text).toBe(' Ann')
  })

  it('is told by where the prompts differ: the same pair swapped has its answers swapped', () => {
    const swapped = { clean: from.corrupt, corrupt: from.clean }
    expect(mirrored(token(' Mary'), from, swapped)?.text).toBe(' John')
    expect(mirrored(token(' John'), from, swapped)?.text).toBe(' Mary')
  })

  it('is found where the prompts are of other lengths', () => {
    const to = pair('When Tom and Ann went home, Ann gave to', 'When Tom and Ann went home, Tom gave to')
    expect(mirrored(token(' Mary'), from, to)?.text).toBe(' Tom')
  })

  it('is spelled with a space as the chosen one is', () => {
    const start = pair('Mary and John went, John gave to', 'Mary and John went, Cleo gave to')
    const to = pair('Tom and Ann went, Ann gave to', 'Tom and Ann went, Cleo gave to')
    expect(mirrored(token(' Mary'), start, to)).toBeNull()
    const [likely] = wordTokens('a Tom').slice(-1)
    expect(mirrored(token(' Mary'), start, to, [likely])?.text).toBe(' Tom')
  })

  it('is none for a word that is in no prompt', () => {
    expect(mirrored(token(' Paris'), from, from)).toBeNull()
    expect(mirrored(token(' '), from, from)).toBeNull()
  })
})

describe('positions of another prompt', () => {
  it('are the same, or those that the alignment pairs; what has no partner is left out', () => {
    const words = wordTokens('When Mary went')
    expect(mirroredPositions([1, 2], words, wordTokens('When Tom came'))).toEqual([1, 2])
    expect(mirroredPositions([0, 1, 3], words, wordTokens('When went'))).toEqual([0, 1, 2])
    expect(mirroredPositions([99], words, words)).toEqual([])
  })
})
