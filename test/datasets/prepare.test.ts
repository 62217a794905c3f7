/** Rows as a model gets them: prompts, and which rows are used. With the embedded model's tokenizer. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prepareRows, type Cells, type Prepared } from '../../main/datasets'
import { datasetSpec } from '../../preload/datasets'
import { code, usePreparing, type Spec } from './preparing'
import { all, useFolder } from './support'

const folder = useFolder()
const preparing = usePreparing()

const column = { kind: 'column', column: 'text' } as const

describe('a row’s prompt', () => {
  it('is a column’s value, in exactly the tokens that a prompt has', async () => {
    const row = await preparing.one({ text: 'The cat sat', label: 3 }, { prompt: column, label: 'label' })
    const { tokens } = await preparing.tokenizer.encodePrompt({
      kind: 'text',
      text: 'The cat sat',
      bos: 'model',
    })
    expect(row).toMatchObject({ row: 0, tokens, label: '3', span: null, truncated: 0, text: 'The cat sat' })
    expect(row.cells).toEqual({ text: 'The cat sat', label: 3 })
  })

  it('is a template with values put in as they are, never read as templates or marks of it', async () => {
    const cells = { a: '{{b}}', b: 'x', 'two words': 7, flag: true }
    const template = '{{{{a}} {{a}} and {{ b }}, {{two words}}, {{flag}} }} {'
    expect((await preparing.one(cells, { prompt: { kind: 'template', template } })).text).toBe(
      '{{a}} {{b}} and x, 7, true }} {',
    )
  })

  it('is any text again that was escaped for a template', async () => {
    const text = fc.string({ unit: fc.constantFrom('{', '}', 'a', ' ', '\\'), minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(text, text, async (before, value) => {
        const template = `${before.replaceAll('{{', '{{{{')}|{{v}}`
        // A brace before an escaped pair would pair with it.
        fc.pre(!/\{{3}/.test(before))
        const row = await preparing.one({ v: value }, { prompt: { kind: 'template', template } })
        expect(row.text).toBe(`${before}|${value}`)
      }),
      { numRuns: 100, seed: 3 },
    )
  })

  it('goes through the chat template, from templates or from a column with a chat', async () => {
    const content = 'Is the cat happy?'
    const expected = await preparing.tokenizer.encodePrompt({
      kind: 'chat',
      messages: [{ role: 'user', content }],
      addGenerationPrompt: true,
    })
    const chat = await preparing.one(
      { q: 'cat' },
      { prompt: { kind: 'chat', messages: [{ role: 'user', content: 'Is the {{q}} happy?' }] } },
    )
    const messages = await preparing.one(
      { m: JSON.stringify([{ role: 'user', content, extra: 1 }]) },
      { prompt: { kind: 'messages', column: 'm' } },
    )
    expect(chat.tokens).toEqual(expected.tokens)
    expect(messages.tokens).toEqual(expected.tokens)
  })

  it('is the token ids that stand in a column, as they are', async () => {
    const ids = await preparing.tokenizer.encode('The cat sat')
    const row = await preparing.one(
      { ids: JSON.stringify(ids) },
      { prompt: { kind: 'tokens', column: 'ids' } },
    )
    expect(row.tokens.map(({ id }) => id)).toEqual(ids)
    expect(row.text).toBe('The cat sat')
  })

  it.each<[string, Spec['prompt'], Cells]>([
    ['no value', column, { text: null }],
    ['no such column in this row', column, { other: 'x' }],
    ['an empty text', column, { text: '' }],
    ['half a character', column, { text: '\ud800' }],
    [
      'a chat that is none',
      { kind: 'messages', column: 'text' },
      { text: '[{"role":"robot","content":"x"}]' },
    ],
    ['JSON that is none', { kind: 'messages', column: 'text' }, { text: 'hello' }],
    ['token ids that are none', { kind: 'tokens', column: 'text' }, { text: '[1.5]' }],
    ['a token that the model has not', { kind: 'tokens', column: 'text' }, { text: '[9999999]' }],
  ])('that can not be made (%s) is a failure, and the rows around it go on', async (_, prompt, bad) => {
    const good =
      prompt.kind === 'column' ? 'good' : prompt.kind === 'tokens' ? '[1]' : '[{"role":"user","content":"x"}]'
    const found = await preparing.rows([{ text: good }, bad, { text: good }], { prompt })
    expect(found.map(({ kind }) => kind)).toEqual(['row', 'failure', 'row'])
    expect(found[1]).toMatchObject({ failure: { row: 1, error: { next: expect.any(String) as string } } })
  })

  it.each<[string, Spec, RegExp]>([
    ['a column that no row has', { prompt: { kind: 'column', column: 'txt' } }, /"txt"/],
    [
      'such a column in a template',
      { prompt: { kind: 'template', template: '{{text}} {{lable}}' } },
      /"lable"/,
    ],
    ['such a label', { prompt: column, label: 'lebel' }, /"lebel"/],
    [
      'a template that does not close',
      { prompt: { kind: 'template', template: 'abc {{text' } },
      /character 5/,
    ],
    ['a template without a name', { prompt: { kind: 'template', template: '{{ }}' } }, /no name/],
    ['a sample without a size', { prompt: column, sample: { seed: 1 } }, /sample/],
    [
      'marks in token ids',
      { prompt: { kind: 'tokens', column: 'text' }, span: { kind: 'marks', open: '[', close: ']' } },
      /Marks/,
    ],
  ])('is refused for all rows where it is %s', async (_, spec, message) => {
    const rows = [{ text: '1', label: 'a' }]
    await expect(preparing.rows(rows, spec)).rejects.toMatchObject({ code: 'input.invalid', message })
  })

  it('names the nearest columns of one that is not there', async () => {
    await expect(
      preparing.rows([{ text: 'a', label: 1 }], { prompt: { kind: 'column', column: 'texts' } }),
    ).rejects.toMatchObject({ next: 'The nearest names are "text", "label".' })
  })

  it('is a failure of that row alone where a column comes later than others', async () => {
    const rows: Cells[] = [{ a: 'x' }, { a: 'y', text: 'late' }]
    expect((await preparing.rows(rows, { prompt: column })).map(code)).toEqual(['input.invalid', 'row'])
  })
})

describe('which rows are used', () => {
  const rows = Array.from({ length: 50 }, (_, i) => ({ text: `row ${i}` }))
  const numbers = (found: Prepared[]): number[] =>
    found.map((each) =>
      each.kind === 'row' ? each.row.row : each.kind === 'failure' ? each.failure.row : each.row,
    )

  it('are those from `skip` on, at most `limit`', async () => {
    expect(numbers(await preparing.rows(rows, { prompt: column, skip: 47 }))).toEqual([47, 48, 49])
    expect(numbers(await preparing.rows(rows, { prompt: column, skip: 3, limit: 2 }))).toEqual([3, 4])
    expect(numbers(await preparing.rows(rows, { prompt: column, skip: 90 }))).toEqual([])
  })

  it('are a sample that the seed decides, without one twice, in the source’s order', async () => {
    const sample = async (seed: number, limit = 10): Promise<number[]> =>
      numbers(await preparing.rows(rows, { prompt: column, skip: 20, limit, sample: { seed } }))
    const first = await sample(1)
    expect(new Set(first).size).toBe(10)
    expect(first).toEqual(first.toSorted((a, b) => a - b))
    expect(Math.min(...first)).toBeGreaterThanOrEqual(20)
    expect(await sample(1)).toEqual(first)
    expect(await sample(2)).not.toEqual(first)
    expect(await sample(1, 500)).toEqual(Array.from({ length: 30 }, (_, i) => i + 20))
  })

  it('draws every row equally often', async () => {
    const drawn = new Map<number, number>()
    for (let seed = 0; seed < 200; seed++)
      for (const row of numbers(
        await preparing.rows(rows, {
          prompt: { kind: 'column', column: 'text' },
          limit: 5,
          sample: { seed },
        }),
      ))
        drawn.set(row, (drawn.get(row) ?? 0) + 1)
    // 1,000 draws of 50 rows: mean 20, deviation 4.2.
    expect(drawn.size).toBe(50)
    expect(Math.max(...drawn.values())).toBeLessThan(40)
    expect(Math.min(...drawn.values())).toBeGreaterThan(4)
  })

  it('draws the same rows of a file that does not say how many it has', async () => {
    const file = folder.write('sampled.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
    const spec = { prompt: column, limit: 7, sample: { seed: 9 } }
    const parsed = datasetSpec.parse({ source: { kind: 'file', path: file }, ...spec })
    const found = await all(prepareRows(parsed, preparing.encoder))
    expect(numbers(found)).toEqual(numbers(await preparing.rows(rows, spec)))
  })

  it('have each sequence of tokens once where that was asked for, and the others are named', async () => {
    const twice = ['a cat', 'a dog', 'a cat', '', 'a cat'].map((text) => ({ text }))
    expect(await preparing.rows(twice, { prompt: column, deduplicate: true })).toEqual([
      expect.objectContaining({ kind: 'row' }),
      expect.objectContaining({ kind: 'row' }),
      { kind: 'duplicate', row: 2, of: 0 },
      expect.objectContaining({ kind: 'failure' }),
      { kind: 'duplicate', row: 4, of: 0 },
    ])
  })

  it('can be a window of them, without encoding the others', async () => {
    const found = await preparing.rows(
      rows,
      { prompt: column, skip: 5 },
      { window: { offset: 10, count: 3 } },
    )
    expect(numbers(found)).toEqual([15, 16, 17])
  })

  it('that can not be read keep their numbers and are failures in their places', async () => {
    const file = folder.write('bad.jsonl', '{"text":"a"}\n{"text":\n{"text":"b"}\n')
    const spec = datasetSpec.parse({ source: { kind: 'file', path: file }, prompt: column })
    const found = await all(prepareRows(spec, preparing.encoder))
    expect(found.map(code)).toEqual(['row', 'file.malformed', 'row'])
    expect(numbers(found)).toEqual([0, 1, 2])
  })

  it('end where the reading is cancelled', async () => {
    const controller = new AbortController()
    const spec = datasetSpec.parse({ source: { kind: 'rows', rows }, prompt: column })
    const found: Prepared[] = []
    await expect(
      (async () => {
        for await (const each of prepareRows(spec, preparing.encoder, { signal: controller.signal })) {
          found.push(each)
          if (found.length === 3) controller.abort()
        }
      })(),
    ).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(found).toHaveLength(3)
  })
})
