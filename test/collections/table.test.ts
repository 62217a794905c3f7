import { describe, expect, it } from 'vitest'
import { tableColumns } from '../../main/collections/columns'
import { RowTable } from '../../main/collections/table/row-table'
import { checkQuery, checkRest } from '../../main/collections/table/sql'
import type { PatchbayError } from '../../preload/errors'
import { about, filled, newOutput, shared } from './fixture'

const resid = 'blocks.0.hook_resid_post'
const norm = `${resid}[last]{norm}`
const rows = Array.from({ length: 50 }, (_, i) => ({
  tokens: [1, ...Array.from({ length: 1 + (i % 5) }, (__, j) => 10 + i + j)],
  label: i % 2 === 0 ? 'even' : 'odd',
  cells: {
    'a "b"': i * 1.5,
    flag: i % 3 === 0,
    Text: `word ${i}`,
    ['x'.repeat(300)]: i % 7 === 0 ? null : i,
  },
}))
const outputs = [
  newOutput(resid, [1, 4], { positions: { kind: 'last' } }),
  newOutput(resid, [1], { positions: { kind: 'last' }, reduction: { kind: 'norm' }, dims: ['pos'] }),
]
const valueOf = (row: number, output: string) =>
  output === norm
    ? row === 49
      ? null
      : { shape: [1], data: Float32Array.of(100 - row) }
    : { shape: [1, 4], data: new Float32Array(4).fill(row) }

const { use } = shared((at) => filled(at, outputs, rows, valueOf))
const page = { filter: '', sort: null, offset: 0, count: 100 }
const failure = (promise: Promise<unknown>): Promise<PatchbayError> =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error as PatchbayError,
  )

describe('the table of rows', () => {
  it('pages, filters and sorts', async () => {
    await use(async (_, table) => {
      const plain = await table.page({ ...page, offset: 48 })
      expect(plain.total).toBe(50)
      expect(plain.rows.map(({ row, present }) => [row, present])).toEqual([
        [48, true],
        [49, false],
      ])
      expect(plain.rows[0]).toMatchObject({ source: 48, label: 'even', tokens: 5, text: 't1t58t59t60t61' })
      const filtered = await table.page({
        filter: `label = 'odd' AND "a ""b""" > 30`,
        sort: { column: 'tokens', descending: true },
        offset: 1,
        count: 3,
      })
      const expected = rows
        .map(({ tokens, cells }, row) => ({ row, tokens: tokens.length, x: cells['a "b"'] }))
        .filter(({ row, x }) => row % 2 === 1 && x > 30)
        .sort((a, b) => b.tokens - a.tokens || a.row - b.row)
      expect(filtered.total).toBe(expected.length)
      expect(filtered.rows.map(({ row }) => row)).toEqual(expected.slice(1, 4).map(({ row }) => row))
      expect(await table.matching('flag -- a comment')).toEqual(
        Int32Array.from({ length: 17 }, (_, i) => 3 * i),
      )
      expect(await table.matching(' ')).toBeNull()
    })
  })

  it('knows outputs that are one number, and says nothing where there is none', async () => {
    await use(async (_, table) => {
      const sorted = await table.page({ ...page, sort: { column: norm, descending: false }, count: 3 })
      expect(sorted.rows.map(({ row }) => row)).toEqual([49, 48, 47])
      expect((await table.query(`SELECT count(*), max("${norm}") FROM rows`, 10)).rows).toEqual([
        [49 + 1, 100],
      ])
      expect((await table.query(`SELECT row FROM rows WHERE "${norm}" IS NULL`, 10)).rows).toEqual([[49]])
      const all = await table.query('SELECT * FROM rows WHERE row = 2', 10)
      expect(all.columns).toEqual(table.columns.map(({ name }) => name))
      expect(all.rows[0].at(-1)).toBe(98)
    })
  })

  it('answers a SELECT, and says when there is more', async () => {
    await use(async (_, table) => {
      const answer = await table.query(
        'SELECT label, avg(tokens) AS mean FROM rows GROUP BY label ORDER BY label -- end',
        10,
      )
      expect(answer).toEqual({
        columns: ['label', 'mean'],
        rows: [
          ['even', 4],
          ['odd', 4],
        ],
        more: false,
      })
      expect(await table.query('SELECT Text_2 FROM rows', 2)).toEqual({
        columns: ['Text_2'],
        rows: [['word 0'], ['word 1']],
        more: true,
      })
      expect((await table.query("SELECT 9e999, x'0102', NULL, 1.5", 1)).rows).toEqual([
        ['Infinity', "x'0102'", null, 1.5],
      ])
    })
  })

  it.each([
    'DELETE FROM rows',
    'PRAGMA query_only = OFF',
    "ATTACH 'x' AS y",
    '/* SELECT */ DROP TABLE rows',
    'SELECT 1; DELETE FROM rows',
    'SELECT 1; PRAGMA query_only = OFF',
    'SELECT 1\0; DELETE FROM rows',
    'WITH x AS (SELECT 1) DELETE FROM rows',
    'WITH x AS (SELECT 1) INSERT INTO rows(row) SELECT 1000',
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    '',
  ])('refuses %j, and the table stays as it was', async (sql) => {
    await use(async (_, table) => {
      expect((await failure(table.query(sql, 10))).code).toBe('input.invalid')
      expect((await failure(table.page({ ...page, filter: `1) ; ${sql}; SELECT (1` }))).code).toBe(
        'input.invalid',
      )
      expect((await table.query('SELECT count(*) FROM rows', 1)).rows).toEqual([[50]])
    })
  })

  it('gives what SQLite says of a mistake, and the columns', async () => {
    await use(async (_, table) => {
      const error = await failure(table.query('SELECT absent FROM rows', 10))
      expect(error.message).toBe('SQLite says: no such column: absent.')
      expect(error.next).toContain('"tokens"')
      expect(
        (await failure(table.page({ ...page, sort: { column: 'row"; --', descending: true } }))).message,
      ).toContain('There is no column')
      expect((await failure(table.query('SELECT randomblob(900000000)', 1))).next).toBe(
        'Ask for less at once.',
      )
    })
  })

  it('ends a query that does not end, and answers the next one', async () => {
    const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n'
    await use(async (collection) => {
      const table = new RowTable(collection, 300)
      expect((await failure(table.query(endless, 1))).code).toBe('run.timeout')
      expect((await table.query('SELECT count(*) FROM rows', 1)).rows).toEqual([[50]])
      const controller = new AbortController()
      const running = new RowTable(collection)
      await running.query('SELECT 1', 1)
      const cancelled = failure(running.query(endless, 1, controller.signal))
      await new Promise((resolve) => setImmediate(resolve))
      controller.abort()
      expect((await cancelled).code).toBe('run.cancelled')
      expect((await running.query('SELECT count(*) FROM rows', 1)).rows).toEqual([[50]])
      table.end()
      running.end()
    })
  })
})

describe('the columns of the table', () => {
  const columns = ['label', 'Label', 'text', 'row', 'a\0b'].map((name) => ({ name, type: 'text' as const }))
  const dataset = about([]).dataset
  const names = (more: Partial<typeof dataset>) =>
    tableColumns({ columns, outputs: [], dataset: { ...dataset, ...more } }).map(({ name }) => name)

  it('have a name each, whatever the case of the letters', () => {
    expect(names({ label: 'Label', prompt: { kind: 'template', template: 'x' } })).toEqual([
      'row',
      'source',
      'label',
      'text',
      'tokens',
      'label_2',
      'Label_3',
      'text_2',
      'row_2',
      'a\ufffdb',
    ])
  })

  it('are not there twice for a label and a prompt that are columns of these names', () => {
    const own = ['row', 'source', 'label', 'text', 'tokens']
    expect(names({ label: 'label' })).toEqual([...own, 'Label_2', 'row_2', 'a\ufffdb'])
  })
})

describe('looking at SQL', () => {
  it('finds the first word behind comments', () => {
    expect(() => checkQuery(' -- x\n /* y */ ; select 1')).not.toThrow()
    expect(() => checkQuery('/* select')).toThrow('no SELECT')
    expect(() => checkQuery('selected')).toThrow('no SELECT')
  })

  it('lets comments stand behind a query, and nothing else', () => {
    expect(() => checkRest(' ; -- done')).not.toThrow()
    expect(() => checkRest(';; /* a */ x')).toThrow('more than one')
  })
})
