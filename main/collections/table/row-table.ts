/**
 * A collection's table in SQLite: made when it is first asked, in a thread of its own, and made again after a query that had
 * to be ended. Columns that are one number of an output are read from the store when a query first names them.
 */
import type { CollectionRow } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import type { OpenCollection } from '../collection'
import { tableColumns, type TableColumn } from '../columns'
import { pathsOf } from '../folder'
import { storedRows, streamRows } from '../stream'
import { WorkerThread } from '../thread/worker-thread'
import type { SqlCalls } from './protocol'

export interface Sort {
  column: string
  descending: boolean
}

const LOAD_MS = 120_000
const QUERY_MS = 15_000

export class RowTable {
  readonly columns: readonly TableColumn[]
  private readonly thread = new WorkerThread<SqlCalls>('sql-worker.js', 'The query')
  private loaded = false
  private filled = new Set<string>()
  private queue: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly collection: OpenCollection,
    /** A query that takes longer is ended. */
    private readonly limitMs = QUERY_MS,
  ) {
    this.columns = tableColumns(collection.manifest)
  }

  /**
   * One SELECT over the table `rows`.
   * @throws PatchbayError `input.invalid` with what SQLite says, `run.timeout`, `run.cancelled`
   */
  query(sql: string, limit: number, signal?: AbortSignal): Promise<SqlCalls['query']['output']> {
    return this.inTurn(sql, signal, () => this.ask('query', { sql, limit }, signal))
  }

  /** A page of rows for which the filter holds. @throws PatchbayError as `query` */
  async page(
    { filter, sort, offset, count }: { filter: string; sort: Sort | null; offset: number; count: number },
    signal?: AbortSignal,
  ): Promise<{ rows: CollectionRow[]; total: number }> {
    const { length } = this.collection
    const plain = filter.trim() === '' && sort === null
    const { rows, total } = plain
      ? {
          rows: Int32Array.from(
            { length: Math.max(0, Math.min(count, length - offset)) },
            (_, i) => offset + i,
          ),
          total: length,
        }
      : await this.select({ filter, sort, page: { offset, count } }, signal)
    const page: CollectionRow[] = []
    for await (const { row, stored } of storedRows(this.collection, rows)) {
      const { source, label, text, tokens, cells } = stored
      const present = (await this.collection.missing(stored)).length === 0
      page.push({ row, source, label, text, tokens: tokens.length, cells, present })
    }
    return { rows: page, total }
  }

  /** All rows for which the filter holds, ascending; null for all rows. @throws PatchbayError as `query` */
  async matching(filter: string, signal?: AbortSignal): Promise<Int32Array | null> {
    if (filter.trim() === '') return null
    return (await this.select({ filter, sort: null, page: null }, signal)).rows
  }

  /** Ends the thread. */
  end(): void {
    this.thread.end()
    this.loaded = false
  }

  private async select(
    input: SqlCalls['select']['input'],
    signal?: AbortSignal,
  ): Promise<SqlCalls['select']['output']> {
    const mentions = `${input.filter} ${input.sort?.column ?? ''}`
    const found = await this.inTurn(mentions, signal, () => this.ask('select', input, signal))
    // The filter is a person's SQL: what comes out of it is checked like any input.
    const { length } = this.collection
    return { ...found, rows: found.rows.filter((row) => row >= 0 && row < length) }
  }

  private inTurn<T>(mentions: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(async () => {
      await this.load(signal)
      await this.fillMentioned(mentions, signal)
      return work()
    })
    this.queue = turn.catch(() => undefined) // who called is told
    return turn
  }

  private async load(signal?: AbortSignal): Promise<void> {
    if (this.loaded && this.thread.alive) return
    this.loaded = false
    this.filled = new Set()
    const { rows } = pathsOf(this.collection.folder)
    const options = { signal, limitMs: LOAD_MS }
    await this.thread.ask('load', { file: rows, columns: [...this.columns] }, options)
    this.loaded = true
  }

  private ask<N extends 'query' | 'select'>(
    call: N,
    input: SqlCalls[N]['input'],
    signal?: AbortSignal,
  ): Promise<SqlCalls[N]['output']> {
    const tooLong = () =>
      new PatchbayError('run.timeout', `The query took longer than ${this.limitMs / 1000} s and was ended.`, {
        field: 'sql',
        next: 'Ask for less, for example with LIMIT or without joining the table with itself.',
      })
    return this.thread.ask(call, input, { signal, limitMs: this.limitMs, tooLong })
  }

  /** Reads the numbers of outputs that the text names, or all where it asks for all columns. */
  private async fillMentioned(text: string, signal?: AbortSignal): Promise<void> {
    const lower = text.toLowerCase()
    const all = lower.replace(/count\s*\(\s*\*\s*\)/g, '').includes('*')
    for (const { name, from, source } of this.columns) {
      if (from !== 'output' || this.filled.has(name)) continue
      if (!all && !lower.includes(name.toLowerCase())) continue
      const values = new Float64Array(this.collection.length).fill(NaN)
      for await (const { row, values: value } of streamRows(this.collection, source, { signal }))
        values[row] = value.data[0]
      await this.thread.ask('fill', { column: name, values }, { signal, limitMs: LOAD_MS })
      // While values are still being added, what was read is not all.
      if (this.collection.manifest.complete) this.filled.add(name)
    }
  }
}
