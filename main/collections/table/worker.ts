/**
 * The thread that holds a collection's table in SQLite (sql.js: WebAssembly without any access to files). What a person asks
 * runs here, read-only, and is ended from outside when it takes too long.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Database, Statement } from 'sql.js'
import initSqlJs from 'sql.js/dist/sql-wasm-inline.js'
import type { Cell } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { cellOf, type TableColumn } from '../columns'
import type { StoredRow } from '../schema'
import { serve } from '../thread/serve'
import type { SqlCalls } from './protocol'
import { checkQuery, checkRest, quotedName } from './sql'

/** What queries may take besides the table, in bytes. */
const QUERY_MEMORY = 512 << 20
/** Characters of an answer at most. */
const MOST_TEXT = 64 << 20

let database: Database | null = null
let columns: TableColumn[] = []

function opened(): Database {
  if (database === null) throw new PatchbayError('internal', 'The table is asked before it is loaded.')
  return database
}

async function load(file: string, asked: TableColumn[]): Promise<null> {
  const { Database } = await initSqlJs()
  const db = new Database()
  columns = asked
  const declared = columns.map(({ name, type, source, from }) =>
    from === 'row' && source === 'row'
      ? `${quotedName(name)} INTEGER PRIMARY KEY`
      : `${quotedName(name)} ${type === 'text' ? 'TEXT' : 'NUMERIC'}`,
  )
  db.run(`CREATE TABLE rows (${declared.join(', ')})`)
  db.run('BEGIN')
  const insert = db.prepare(`INSERT INTO rows VALUES (${columns.map(() => '?').join(', ')})`)
  let row = 0
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    // The owner has checked the file's hash and that this is what its lines are.
    const stored = JSON.parse(line) as StoredRow
    insert.run(columns.map((column) => bound(cellOf(column, stored, row))))
    row++
  }
  insert.free()
  db.run('COMMIT')
  database = db
  protect()
  return null
}

/** No writing, and no more memory than the table and QUERY_MEMORY. */
function protect(): void {
  const db = opened()
  const size = (name: string): number => Number(db.exec(`PRAGMA ${name}`)[0].values[0][0])
  db.run(`PRAGMA hard_heap_limit = ${size('page_count') * size('page_size') + QUERY_MEMORY}`)
  db.run('PRAGMA query_only = ON')
}

const bound = (value: Cell): string | number | null => (typeof value === 'boolean' ? Number(value) : value)

function fill(column: string, values: Float64Array): null {
  const db = opened()
  db.run('PRAGMA query_only = OFF')
  try {
    db.run('BEGIN')
    const update = db.prepare(`UPDATE rows SET ${quotedName(column)} = ? WHERE "row" = ?`)
    values.forEach((value, row) => {
      if (!Number.isNaN(value)) update.run([Number.isFinite(value) ? value : value > 0 ? 9e999 : -9e999, row])
    })
    update.free()
    db.run('COMMIT')
  } finally {
    protect()
  }
  return null
}

/** Runs one statement and gives it to `work`, whatever else the text says is refused. */
function withStatement<T>(sql: string, work: (statement: Statement) => T): T {
  checkQuery(sql)
  const db = opened()
  try {
    const statements = db.iterateStatements(sql)
    const first = statements.next()
    if (first.done === true) throw new PatchbayError('input.invalid', 'The query is empty.')
    checkRest(statements.getRemainingSQL())
    try {
      return work(first.value)
    } finally {
      first.value.free()
    }
  } catch (error) {
    throw error instanceof PatchbayError ? error : sentence(error)
  }
}

function sentence(error: unknown): PatchbayError {
  const says = error instanceof Error ? error.message : String(error)
  const next = /out of memory|string or blob too big/.test(says)
    ? 'Ask for less at once.'
    : `Columns are ${columns
        .slice(0, 40)
        .map(({ name }) => quotedName(name))
        .join(', ')}${columns.length > 40 ? ', …' : ''}.`
  return new PatchbayError('input.invalid', `SQLite says: ${says}.`, { field: 'sql', next, cause: error })
}

function query(sql: string, limit: number): SqlCalls['query']['output'] {
  return withStatement(sql, (statement) => {
    const rows: Cell[][] = []
    let text = 0
    let more = false
    while (statement.step()) {
      if (rows.length === limit) {
        more = true
        break
      }
      const row = statement.get().map(shown)
      text += row.reduce<number>((sum, value) => sum + (typeof value === 'string' ? value.length : 8), 0)
      if (text > MOST_TEXT)
        throw new PatchbayError(
          'input.invalid',
          `The answer is longer than ${MOST_TEXT >> 20} million characters.`,
          {
            field: 'sql',
            next: 'Ask for fewer columns or rows.',
          },
        )
      rows.push(row)
    }
    return { columns: statement.getColumnNames(), rows, more }
  })
}

/** A value of SQLite's as JSON has one: bytes in SQL's own writing, infinities as text. */
function shown(value: string | number | Uint8Array | null): Cell {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value.subarray(0, 1000)).toString('hex')}'`
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

function select({ filter, sort, page }: SqlCalls['select']['input']): SqlCalls['select']['output'] {
  // A line feed ends a comment in the filter, so that the parenthesis stays.
  const where = filter.trim() === '' ? '' : `WHERE (${filter}\n)`
  const from = `FROM rows ${where}`
  const total = withStatement(`SELECT count(*) ${from}`, (statement) => {
    statement.step()
    return Number(statement.get()[0])
  })
  const key = sort === null ? null : columns.find(({ name }) => name === sort.column)
  if (key === undefined)
    throw new PatchbayError('input.invalid', `There is no column ${JSON.stringify(sort?.column)}.`, {
      field: 'sort.column',
      next: 'Sort by one of the columns that the collection lists.',
    })
  const order = key === null ? '' : `${quotedName(key.name)} ${sort?.descending === true ? 'DESC' : 'ASC'}, `
  const range = page === null ? '' : `LIMIT ${page.count} OFFSET ${page.offset}`
  return withStatement(`SELECT "row" ${from} ORDER BY ${order}"row" ${range}`, (statement) => {
    const rows: number[] = []
    while (statement.step()) rows.push(Number(statement.get()[0]))
    return { rows: Int32Array.from(rows), total }
  })
}

serve<SqlCalls>({
  load: ({ file, columns: asked }) => load(file, asked),
  fill: ({ column, values }) => fill(column, values),
  query: ({ sql, limit }) => query(sql, limit),
  select,
})
