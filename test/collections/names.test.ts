import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entryOutput, newId, outputName } from '../../main/collections/names'
import { parseEntryName } from '../../main/cache/store/entry'

const resid = 'blocks.3.hook_resid_post'

describe('the names of outputs', () => {
  it('are the hook point alone for all positions as they are, so that every run finds the values', () => {
    expect(outputName(resid, { kind: 'all' }, { kind: 'none' })).toBe(resid)
    expect(entryOutput(resid, [0, 1, 2], 3, { kind: 'none' })).toBe(resid)
  })

  it('say positions and reduction in words', () => {
    expect(outputName(resid, { kind: 'last' }, { kind: 'norm' })).toBe(`${resid}[last]{norm}`)
    expect(outputName(resid, { kind: 'at', positions: [0, -1] }, { kind: 'none' })).toBe(`${resid}[at 0,-1]`)
    expect(
      outputName(
        resid,
        { kind: 'span-offset', from: 'last', offset: -1 },
        { kind: 'top', k: 8 },
        { part: 'indices' },
      ),
    ).toBe(`${resid}[span last -1]{top 8 indices}`)
  })

  it('name directions and dictionaries by their content', () => {
    const projection = { kind: 'projection', directions: { kind: 'preset', id: 'p' } } as const
    const one = outputName(resid, { kind: 'all' }, projection, { content: 'a'.repeat(64) })
    const other = outputName(resid, { kind: 'all' }, projection, { content: 'b'.repeat(64) })
    expect(one).not.toBe(other)
    expect(() => outputName(resid, { kind: 'all' }, projection)).toThrow(/without its content/)
  })

  it('are of the positions themselves in the store: equal for rules that lead to the same, and different for others', () => {
    expect(entryOutput(resid, [2], 3, { kind: 'none' })).toBe(`${resid}[2]`)
    expect(entryOutput(resid, [0, 1, 2, 5], 9, { kind: 'mean' })).toBe(`${resid}[0-2,5]{mean}`)
    expect(entryOutput(resid, [2, 1, 0], 3, { kind: 'none' })).toBe(`${resid}[2,1,0]`)
    expect(entryOutput(resid, [0, 1, 2], 3, { kind: 'mean' })).toBe(`${resid}[all]{mean}`)
  })

  it('fit the store whatever the pattern and however many positions', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 100, unit: 'binary' }), (pattern) => {
        const name = outputName(resid, { kind: 'matching', pattern }, { kind: 'none' })
        expect(parseEntryName(`${'0'.repeat(64)}/${name}@float16`)?.output).toBe(name)
      }),
      { numRuns: 25 },
    )
    const odd = Array.from({ length: 4096 }, (_, i) => 2 * i)
    expect(entryOutput(resid, odd, 10_000, { kind: 'none' }).length).toBeLessThan(200)
  })

  it('makes ids out of any name that fit the store’s sets', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        expect(`collection-${newId(name)}`).toMatch(/^[a-z0-9][a-z0-9._-]{0,63}$/)
      }),
    )
  })
})
