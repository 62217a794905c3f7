/**
 * Data sets, extraction and collections for component tests: a collection of any number of rows in memory, whose filter
 * understands `row IN (…)` and refuses what says WRONG, as SQLite would refuse it.
 */
import type { Collection, CollectionRow, Context, SearchResult } from '../../../preload/collections'
import { datasetSpec, type Cell, type DatasetSource } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import type { ModelDescription } from '../../../preload/model'
import type { Answers } from './synthetic-engine'
import { gauss, noise, syntheticIds, syntheticToken } from './synthetic-model'

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

export const hostile = '<img src=x onerror=alert(1)> =HYPERLINK("x") \u202Egnirts'

export interface SyntheticCollection {
  collection: Collection
  rows: CollectionRow[]
}

export function syntheticCollection(
  model: ModelDescription,
  count = 120,
  change: Partial<Collection> = {},
): SyntheticCollection {
  const rows = range(count).map((row): CollectionRow => {
    const happy = noise(row, 5) < 0.5
    const text =
      row === 3 ? hostile : `When Mary and John went to the ${happy ? 'park' : 'river'} , said ${row}`
    return {
      row,
      source: row,
      label: row === 4 ? null : happy ? 'happy' : 'sad',
      text,
      tokens: syntheticIds(text).length,
      cells: { text, mood: happy ? 'happy' : 'sad', score: Math.round(100 * noise(row)) / 100 },
      present: row !== 2,
    }
  })
  const layers = range(model.layers).map((layer) => `blocks.${layer}.hook_resid_post`)
  const collection: Collection = {
    id: 'reviews-0123456789',
    name: 'Reviews',
    note: 'of a film',
    created: '2026-01-02T03:04:05.000Z',
    modelName: model.name,
    fingerprint: model.fingerprint,
    rows: count,
    tokens: rows.reduce((sum, { tokens }) => sum + tokens, 0),
    bytes: 3 * 2 ** 20,
    pinned: false,
    complete: true,
    provenance: {
      fingerprint: model.fingerprint,
      modelName: model.name,
      precision: 'float32',
      provider: 'cpu',
      patchbay: '0.1.0',
      certificate: null,
    },
    dataset: datasetSpec.parse({
      source: { kind: 'file', path: '/data/reviews.jsonl' },
      prompt: { kind: 'column', column: 'text' },
      label: 'mood',
    }),
    outputs: [
      ...layers.map((hook) => ({
        name: hook,
        hook,
        asked: {
          hooks: ['blocks.*.hook_resid_post'],
          positions: { kind: 'all' as const },
          reduction: { kind: 'none' as const },
          dtype: 'float16' as const,
        },
        dtype: 'float16' as const,
        dims: ['pos', 'd_model'],
        sizes: [null, model.dModel],
        error: 0.0005,
      })),
    ],
    columns: [
      { name: 'row', type: 'number', from: 'row' },
      { name: 'source', type: 'number', from: 'row' },
      { name: 'label', type: 'text', from: 'row' },
      { name: 'text', type: 'text', from: 'row' },
      { name: 'tokens', type: 'number', from: 'row' },
      { name: 'mood', type: 'text', from: 'data' },
      { name: 'score', type: 'number', from: 'data' },
    ],
    labels: ['happy', 'sad'].map((label) => ({
      label,
      rows: rows.filter((row) => row.label === label).length,
    })),
    failures: [{ row: 7, error: { code: 'prompt.empty', message: 'The prompt is empty.' } }],
    duplicates: 0,
    ...change,
  }
  return { collection, rows }
}

/** Rows that a filter leaves. */
export function filtered(rows: readonly CollectionRow[], filter: string): CollectionRow[] {
  if (filter.includes('WRONG'))
    throw new PatchbayError('input.invalid', 'The filter is wrong: no such column: WRONG.', {
      field: 'filter',
      next: 'Correct the filter.',
    })
  const sets = [...filter.matchAll(/"row" IN \(([\d,]*)\)/g)].map(
    ([, list]) => new Set(list.split(',').map(Number)),
  )
  const label = /label = '(\w+)'/.exec(filter)?.[1]
  return rows.filter(
    (row) => sets.every((set) => set.has(row.row)) && (label === undefined || row.label === label),
  )
}

const text = (row: CollectionRow): Record<string, Cell> => ({
  row: row.row,
  label: row.label,
  text: row.text,
  tokens: row.tokens,
  ...row.cells,
})

function contextOf(row: CollectionRow, position: number): Context {
  const tokens = syntheticIds(row.text).map((id) => {
    const { text: of, special } = syntheticToken(id)
    return { id, text: of, special }
  })
  return {
    row: row.row,
    inRows: row.row === 0 ? 12 : 1,
    position,
    value: 3 - row.row / 10,
    label: row.label,
    start: 0,
    tokens,
    values: Float32Array.from(tokens, (_, i) => gauss(row.row, i)),
  }
}

function searchOf(rows: readonly CollectionRow[], count: number, what: string): SearchResult {
  return {
    what,
    positions: 1200,
    rows: rows.length,
    mean: 0.1,
    standardDeviation: 0.7,
    active: 0.55,
    histogram: { edges: Float32Array.of(-2, -1, 0, 1, 2), counts: Int32Array.of(10, 400, 700, 90) },
    top: rows.slice(0, count).map((row) => contextOf(row, 2)),
    bottom: rows.slice(-count).map((row) => contextOf(row, 1)),
    quantiles: [{ from: 0.25, to: 0.5, contexts: rows.slice(10, 12).map((row) => contextOf(row, 3)) }],
    byLabel: [
      { label: 'happy', mean: 0.4, max: 3, positions: 600 },
      { label: 'sad', mean: -0.2, max: 1, positions: 600 },
    ],
    tokens: [{ token: { id: 9, text: ' store', special: false }, mean: 1.5, count: 12 }],
  }
}

/** Rows of a source; a file has three. */
const sourceRows = (source: DatasetSource): Record<string, Cell>[] =>
  source.kind === 'rows'
    ? source.rows
    : range(3).map((i) => ({ text: `When Mary ${i}`, mood: i === 0 ? 'sad' : 'happy' }))

export function datasetAnswers(): Answers {
  return {
    'datasets.inspect': ({ source }) => {
      const rows = sourceRows(source)
      const names = Object.keys(rows.at(0) ?? {})
      return {
        format: source.kind === 'rows' ? 'rows' : 'jsonl',
        files: source.kind === 'rows' ? [] : [{ path: source.path, bytes: 2048 }],
        columns: names.map((name) => ({
          name,
          type: rows.every((row) => typeof row[name] === 'number') ? 'number' : 'text',
          empty: 0,
          distinct: null,
          examples: rows.slice(0, 3).map((row) => String(row[name])),
        })),
        rows: rows.length,
        head: rows.slice(0, 5),
        failures: [],
        suggested: {
          prompt: names.includes('text') ? { kind: 'column', column: 'text' } : null,
          label: names.includes('mood') ? 'mood' : names.includes('label') ? 'label' : null,
        },
      }
    },
    'datasets.preview': ({ dataset, offset, count }) => ({
      rows: sourceRows(dataset.source)
        .slice(offset, offset + count)
        .map((row, i) => ({
          row: offset + i,
          tokens: syntheticIds(String(row.text)).map((id, at) => ({
            ...syntheticToken(id),
            origin: at === 0 ? ('bos' as const) : ('text' as const),
            start: null,
            end: null,
          })),
          label: dataset.label === null ? null : String(row[dataset.label]),
          span: dataset.span === null ? null : [1, 3],
          truncated: dataset.maxTokens === null ? 0 : 2,
          notes: [],
        })),
      failures:
        offset > 0 ? [] : [{ row: 99, error: { code: 'prompt.empty', message: 'The prompt is empty.' } }],
    }),
    'extraction.forecast': ({ dataset }) => ({
      rows: sourceRows(dataset.source).length,
      failures: [],
      duplicates: 0,
      tokens: 1234,
      longest: 42,
      bytes: 5 * 2 ** 20,
      present: 0,
      free: 20 * 2 ** 30,
      mode: 'row-major',
      notes: ['The model fits into memory.'],
    }),
  }
}

/** @param all collections, changed in place by naming and removing them */
export function collectionAnswers(all: SyntheticCollection[]): Answers {
  const of = (id: string): SyntheticCollection => {
    const found = all.find(({ collection }) => collection.id === id)
    if (found !== undefined) return found
    throw new PatchbayError('input.invalid', `There is no collection ${id}.`, { next: 'Choose another.' })
  }
  const order = (column: string, descending: boolean) => (a: CollectionRow, b: CollectionRow) => {
    const [x, y] = [text(a)[column], text(b)[column]]
    return (descending ? -1 : 1) * (String(x) < String(y) ? -1 : 1)
  }
  return {
    'collections.list': () => all.map(({ collection }) => collection),
    'collections.describe': ({ id }) => of(id).collection,
    'collections.label': ({ id, ...change }) => Object.assign(of(id).collection, change),
    'collections.remove': ({ id }) => {
      all.splice(all.indexOf(of(id)), 1)
      return {}
    },
    'collections.rows': ({ id, filter, sort, offset, count }) => {
      const rows = filtered(of(id).rows, filter)
      if (sort !== null) rows.sort(order(sort.column, sort.descending))
      return { rows: rows.slice(offset, offset + count), total: rows.length }
    },
    'collections.query': ({ id, sql, limit }) => {
      if (sql.includes('WRONG'))
        throw new PatchbayError('input.invalid', 'The query is wrong: near "WRONG": syntax error.')
      const rows = of(id).rows.slice(0, limit)
      return {
        columns: ['row', 'label', 'text', 'value'],
        rows: rows.map((row) => [row.row, row.label, row.text, Number(row.cells.score)]),
        more: false,
        seconds: 0.002,
      }
    },
    'collections.tokens': ({ id, row }) => {
      const found = of(id).rows[row]
      const tokens = syntheticIds(found.text).map(syntheticToken)
      return {
        tokens,
        positions: Int32Array.from(tokens.keys()),
        norms: Float32Array.from(tokens, (_, i) => 2 + noise(row, i)),
        values: null,
        dims: ['pos', 'd_model'],
      }
    },
    'collections.norms': ({ id, outputs, filter }) => {
      const rows = filtered(of(id).rows, filter)
      const data = Float32Array.from(range(rows.length * outputs.length), (i) => 1 + noise(i))
      return {
        rows: Int32Array.from(rows, ({ row }) => row),
        norms: { shape: [rows.length, outputs.length], data },
      }
    },
    'collections.scatter': ({ id, filter, method }) => {
      const rows = filtered(of(id).rows, filter)
      return {
        rows: Int32Array.from(rows, ({ row }) => row),
        points: {
          shape: [rows.length, 2],
          data: Float32Array.from(range(2 * rows.length), (i) => gauss(i)),
        },
        explained: method === 'pca' ? [0.4, 0.2] : [],
        notes: [],
      }
    },
    'collections.neighbours': ({ id, row, count }) => {
      const others = of(id).rows.filter((each) => each.row !== row)
      const near = others.slice(0, count)
      return {
        rows: Int32Array.from(near, (each) => each.row),
        values: Float32Array.from(near, (_, i) => 1 - i / 100),
      }
    },
    'collections.cosines': ({ outputs }) => {
      const n = outputs.length
      const data = Float32Array.from(range(n * n), (i) => 1 - Math.abs(Math.floor(i / n) - (i % n)) / n)
      return { cosines: { shape: [n, n], data } }
    },
    'collections.outliers': ({ count }) => ({
      dimensions: range(Math.min(count, 5)).map((i) => ({
        dimension: 100 + i,
        mean: 10 - i,
        standardDeviation: 1,
        largest: 30 - i,
        share: 0.5 / (i + 1),
        row: i,
        position: 0,
      })),
      width: 128,
      positions: 1200,
    }),
    'collections.search': ({ id, filter, count, target }) =>
      searchOf(filtered(of(id).rows, filter), count, `${target.kind} of ${id}`),
    'collections.page': ({ title }) => ({
      name: 'search.html',
      html: `<!doctype html><title>${title}</title>`,
    }),
    'collections.export': ({ outputs, format }) => ({
      files: outputs.map((_, i) => ({ name: `output-${i}.${format}`, bytes: 100 })),
      python: 'import numpy as np\nprint("loaded")',
    }),
  }
}
