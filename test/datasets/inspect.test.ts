/** What is said of a data set before it is used. */
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectSource } from '../../main/datasets'
import { datasetReport } from '../../preload/datasets'
import { useFolder } from './support'

const folder = useFolder()
const inspect = (file: string): ReturnType<typeof inspectSource> =>
  inspectSource({ kind: 'file', path: file })

describe('looking at a data set', () => {
  it('says format, files, rows, columns with examples, and what to begin with', async () => {
    const lines = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({
        id: i,
        text: `It was ${i % 2 === 0 ? 'good' : 'bad'} number ${i}`,
        sentiment: i % 2 === 0 ? 'pos' : 'neg',
        meta: { source: i },
        sure: i % 4 === 0 ? null : true,
        odd: i % 2 === 0 ? 'x' : 1,
        nothing: null,
      }),
    )
    const file = folder.write('reviews.jsonl', lines.join('\n'))
    const report = await inspect(file)
    expect(report).toMatchObject({
      format: 'jsonl',
      files: [{ path: file, bytes: statSync(file).size }],
      rows: 40,
      failures: [],
      suggested: { prompt: { kind: 'column', column: 'text' }, label: 'sentiment' },
    })
    expect(report.columns).toEqual([
      { name: 'id', type: 'number', empty: 0, distinct: 40, examples: ['0', '1', '2'] },
      expect.objectContaining({ name: 'text', type: 'text', distinct: 40 }),
      { name: 'sentiment', type: 'text', empty: 0, distinct: 2, examples: ['pos', 'neg'] },
      expect.objectContaining({ name: 'meta', type: 'json' }),
      { name: 'sure', type: 'boolean', empty: 10, distinct: 1, examples: ['true'] },
      expect.objectContaining({ name: 'odd', type: 'mixed' }),
      { name: 'nothing', type: 'empty', empty: 40, distinct: 0, examples: [] },
    ])
    expect(report.head).toHaveLength(20)
    expect(datasetReport.parse(report)).toEqual(report)
  })

  it('looks at the beginning only, and says how many rows there are where the file does', async () => {
    const file = folder.write('long.csv', `n,text\n${'1,some text\n'.repeat(200_000)}`)
    expect(await inspect(file)).toMatchObject({
      rows: null,
      format: 'csv',
      columns: [{ type: 'number', empty: 0 }, {}],
    })
    const parquet = path.join(import.meta.dirname, 'files/zstd.parquet')
    expect(await inspect(parquet)).toMatchObject({
      format: 'parquet',
      rows: 300,
      suggested: { prompt: { kind: 'messages', column: 'messages' }, label: 'label' },
    })
  })

  it('takes the longest texts for the prompt where no name says it', async () => {
    const rows = Array.from({ length: 10 }, (_, i) => `${i % 3},short ${i},a much longer text about ${i}`)
    const file = folder.write('unnamed.csv', `a,b,c\n${rows.join('\n')}\n`)
    expect((await inspect(file)).suggested).toEqual({ prompt: { kind: 'column', column: 'c' }, label: 'a' })
  })

  it('takes token ids for the prompt where there are no texts', async () => {
    const file = folder.write('ids.jsonl', '{"input_ids":[1,2,3]}\n{"input_ids":[4]}\n')
    expect((await inspect(file)).suggested.prompt).toEqual({ kind: 'tokens', column: 'input_ids' })
  })

  it('cuts long cells and examples, between characters', async () => {
    const file = folder.write(
      'wide.jsonl',
      JSON.stringify({ text: '😀'.repeat(100_000), more: `a${'😀'.repeat(5000)}` }),
    )
    const { head, columns } = await inspect(file)
    expect(head[0].text).toBe(`${'😀'.repeat(1000)}…`)
    expect(head[0].more).toBe(`a${'😀'.repeat(999)}…`)
    expect(columns.map(({ examples }) => examples[0].length)).toEqual([201, 200])
  })

  it('names rows that can not be read, and fails where none can', async () => {
    const some = await inspect(folder.write('some.jsonl', 'no\n"a"\nno\n'))
    expect(some).toMatchObject({ rows: 3, head: [{ text: 'a' }] })
    expect(some.failures.map(({ row, error }) => [row, error.field])).toEqual([
      [0, 'line 1'],
      [2, 'line 3'],
    ])
    await expect(inspect(folder.write('pretty.json', '{\n  "a": 1\n}\n'))).rejects.toMatchObject({
      code: 'file.malformed',
      field: 'line 1',
    })
  })

  it('has nothing to say of an empty file but that', async () => {
    expect(await inspect(folder.write('empty.txt', ''))).toMatchObject({
      rows: 0,
      columns: [],
      head: [],
      suggested: { prompt: null, label: null },
    })
  })

  it('reports rows that were pasted like those of a file', async () => {
    const rows = [{ text: 'a' }, { text: 'b' }]
    expect(await inspectSource({ kind: 'rows', rows })).toMatchObject({
      format: 'rows',
      rows: 2,
      files: [],
      head: rows,
    })
  })

  it('reads no more of a large file than its beginning', async () => {
    // Damage behind the beginning is not met.
    const good = `${JSON.stringify({ text: 'x'.repeat(1000) })}\n`.repeat(1500)
    const file = folder.write('begin.jsonl', good + 'damaged\n'.repeat(5000))
    expect(readFileSync(file).length).toBeGreaterThan(1e6)
    expect((await inspect(file)).failures).toEqual([])
  })
})
