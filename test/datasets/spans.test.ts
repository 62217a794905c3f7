/** Where a row's span is, and what is cut off rows that are too long. With the embedded model's tokenizer. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PreparedDataRow } from '../../main/datasets'
import { code, ofText, spanText, usePreparing, type Spec } from './preparing'

const preparing = usePreparing()

const column = { kind: 'column', column: 'text' } as const

describe('a span', () => {
  it('is the tokens that hold a column’s value, at its first or last place', async () => {
    const cells = { text: 'the cat and the cat sat', word: 'the cat' }
    const at = async (occurrence: 'first' | 'last'): Promise<PreparedDataRow> =>
      preparing.one(cells, { prompt: column, span: { kind: 'column', column: 'word', occurrence } })
    const [first, last] = [await at('first'), await at('last')]
    expect([spanText(first).trim(), spanText(last).trim()]).toEqual(['the cat', 'the cat'])
    expect(first.span?.[0]).toBeLessThan(last.span?.[0] ?? -1)
  })

  it('is what stood between marks, which are taken out', async () => {
    const prompt = { kind: 'template', template: 'The <<{{who}}>> was happy' } as const
    const row = await preparing.one(
      { who: 'old dog' },
      { prompt, span: { kind: 'marks', open: '<<', close: '>>' } },
    )
    expect(row.text).toBe('The old dog was happy')
    expect(spanText(row).trim()).toBe('old dog')
  })

  it('holds exactly the marked characters, wherever they stand', async () => {
    const word = fc.constantFrom('cat', ' dog', 'é', '😀', ' ', 'was', '.', 'nä')
    const words = fc.array(word, { minLength: 1, maxLength: 5 }).map((each) => each.join(''))
    await fc.assert(
      fc.asyncProperty(words, words, words, async (before, inside, after) => {
        const text = `${before}⟦${inside}⟧${after}`
        const span = { kind: 'marks', open: '⟦', close: '⟧' } as const
        const row = await preparing.one({ text }, { prompt: column, span })
        const [from, to] = row.span ?? [0, 0]
        const [first, last] = [row.tokens[from], row.tokens[to - 1]]
        const [begin, end] = [before.length, before.length + inside.length]
        expect(row.text).toBe(before + inside + after)
        // The tokens cover it, and none of them lies outside.
        expect(first.start).toBeLessThanOrEqual(begin)
        expect(last.end).toBeGreaterThanOrEqual(end)
        expect(first.end).toBeGreaterThan(begin)
        expect(last.start).toBeLessThan(end)
      }),
      { numRuns: 150, seed: 5 },
    )
  })

  it('is found in the marked message of a chat, not in another one with the same text', async () => {
    const messages = [
      { role: 'user', content: 'the cat sat' },
      { role: 'assistant', content: 'the cat sat' },
      { role: 'user', content: 'the [[cat]] sat' },
    ]
    const row = await preparing.one(
      { m: JSON.stringify(messages) },
      { prompt: { kind: 'messages', column: 'm' }, span: { kind: 'marks', open: '[[', close: ']]' } },
    )
    expect(spanText(row).trim()).toBe('cat')
    expect(row.tokens[row.span?.[0] ?? 0].start).toBeGreaterThan(
      row.text.indexOf('the cat sat', row.text.indexOf('the cat sat') + 1),
    )
  })

  it('does not take what a chat template wrote for the value', async () => {
    const spec: Spec = {
      prompt: { kind: 'chat', messages: [{ role: 'user', content: '{{text}}' }] },
      span: { kind: 'column', column: 'word' },
    }
    const role = (await preparing.one({ text: 'x', word: 'x' }, spec)).text
    const inTemplate = /[a-z]{3,}/.exec(role)?.[0] ?? ''
    expect(inTemplate).not.toBe('')
    expect((await preparing.rows([{ text: 'x', word: inTemplate }], spec)).map(code)).toEqual([
      'input.invalid',
    ])
  })

  it.each([
    ['not in the prompt', { text: 'the cat', word: 'dog' }],
    ['empty', { text: 'the cat', word: '' }],
    ['without a value', { text: 'the cat', word: null }],
  ])('that is %s is a failure of its row', async (_, cells) => {
    expect(
      (await preparing.rows([cells], { prompt: column, span: { kind: 'column', column: 'word' } })).map(code),
    ).toEqual(['input.invalid'])
  })

  it.each(['no marks', 'two [pairs] of [them]', 'open [only', 'close] only', 'empty []'])(
    'by marks is a failure for “%s”',
    async (text) => {
      const span = { kind: 'marks', open: '[', close: ']' } as const
      expect((await preparing.rows([{ text }], { prompt: column, span })).map(code)).toEqual([
        'input.invalid',
      ])
    },
  )
})

describe('a row that is too long', () => {
  const text = 'one two three four five six seven eight'

  it('loses tokens at the side that was asked for, and says how many', async () => {
    const whole = await preparing.one({ text }, { prompt: column, bos: 'always' })
    for (const truncate of ['left', 'right'] as const) {
      const row = await preparing.one({ text }, { prompt: column, bos: 'always', maxTokens: 5, truncate })
      expect(row.tokens).toHaveLength(5)
      expect(row.truncated).toBe(whole.tokens.length - 5)
      expect(row.tokens[0]).toEqual(whole.tokens[0])
      expect(row.tokens[0].origin).toBe('bos')
      expect(
        truncate === 'right' ? whole.text.startsWith(ofText(row)) : whole.text.endsWith(ofText(row)),
      ).toBe(true)
      expect(row.notes.at(-1)).toContain(`cut off at the ${truncate}`)
    }
  })

  it('keeps every token of the chat template', async () => {
    const prompt: Spec['prompt'] = { kind: 'chat', messages: [{ role: 'user', content: '{{text}}' }] }
    const whole = await preparing.one({ text }, { prompt })
    const around = whole.tokens.filter(({ origin }) => origin !== 'text')
    for (const truncate of ['left', 'right'] as const) {
      const row = await preparing.one({ text }, { prompt, maxTokens: around.length + 2, truncate })
      expect(row.tokens.filter(({ origin }) => origin !== 'text')).toEqual(around)
      expect(row.tokens).toHaveLength(around.length + 2)
    }
    expect((await preparing.rows([{ text }], { prompt, maxTokens: around.length })).map(code)).toEqual([
      'prompt.too-long',
    ])
  })

  it('is cut to the model’s context, and refused where that was asked for', async () => {
    const long = 'the cat sat. '.repeat(100)
    expect((await preparing.one({ text: long }, { prompt: column, maxTokens: 10_000 })).tokens).toHaveLength(
      64,
    )
    expect(
      (await preparing.rows([{ text: long }], { prompt: column, truncate: 'refuse' })).map(code),
    ).toEqual(['prompt.too-long'])
  })

  it('keeps its span in place, or fails where the span is cut', async () => {
    const cells = { text, word: 'seven' }
    const span = { kind: 'column', column: 'word' } as const
    const row = await preparing.one(cells, { prompt: column, span, maxTokens: 5, truncate: 'left' })
    expect(row.truncated).toBeGreaterThan(0)
    expect(spanText(row)).toContain('seven')
    expect((await preparing.rows([cells], { prompt: column, span, maxTokens: 5 })).map(code)).toEqual([
      'input.invalid',
    ])
  })
})
