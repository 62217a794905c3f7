/**
 * Collections in scratch folders: one filled from the small llama checkpoint of the reference cases, and made-up ones whose
 * values are known.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { OpenCollection } from '../../main/collections/collection'
import { Collections } from '../../main/collections/collections'
import type { RowTable } from '../../main/collections/table/row-table'
import type { NewItem, NewRow } from '../../main/collections/create'
import type { CollectionWriter, NewOutput } from '../../main/collections/writer'
import { ActivationStore } from '../../main/cache/store/store'
import { datasetSpec, type Cell } from '../../preload/datasets'
import { hookDims, parseHook } from '../../preload/hooks'
import { runInput, type RunResult } from '../../preload/run'
import { openReferenceModel } from '../support/reference-model'
import { casesFolder } from '../support/cases'
import { unsynced } from '../cache/store/fixtures'

export const fingerprint = 'cd'.repeat(32)

/** A folder that is gone after the test. */
export function scratch(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-collections-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface Place {
  root: string
  store: ActivationStore
  collections: Collections
}

/** Collections and a store for them. */
async function openPlace(root: string): Promise<Place & { close: () => Promise<void> }> {
  const store = await ActivationStore.open(path.join(root, 'activations'), { producer: 'test', fs: unsynced })
  const collections = new Collections({
    folder: path.join(root, 'collections'),
    store: () => Promise.resolve(store),
  })
  const close = async (): Promise<void> => {
    await collections.close()
    await store.close()
  }
  return { root, store, collections, close }
}

/** Collections and a store for them, closed after the test. */
export async function place(root = scratch()): Promise<Place> {
  const { close, ...opened } = await openPlace(root)
  onTestFinished(close)
  return opened
}

/**
 * One collection for all tests of a file, which only read it.
 * @param fill makes it, and gives its id
 */
export function shared(fill: (at: Place) => Promise<string>): {
  use: <T>(work: (collection: OpenCollection, table: RowTable) => Promise<T>) => Promise<T>
} {
  let opened: Awaited<ReturnType<typeof openPlace>>
  let id: string
  beforeAll(async () => {
    opened = await openPlace(mkdtempSync(path.join(os.tmpdir(), 'patchbay-collections-')))
    id = await fill(opened)
  })
  afterAll(async () => {
    await opened.close()
    rmSync(opened.root, { recursive: true, force: true })
  })
  return { use: (work) => opened.collections.use(id, work) }
}

/** What a made-up row is: token ids, and what else is not as usual. */
export interface RowParts {
  tokens: number[]
  label?: string | null
  text?: string
  cells?: Record<string, Cell>
  span?: [number, number] | null
  /** Texts of tokens; `t{id}` unless given. */
  texts?: Record<number, string>
}

export const newRow = (row: number, parts: RowParts): NewRow => ({
  row,
  tokens: parts.tokens.map((id, i) => ({
    id,
    piece: parts.texts?.[id] ?? `t${id}`,
    text: parts.texts?.[id] ?? `t${id}`,
    special: i === 0 && id === 1,
    origin: i === 0 && id === 1 ? 'bos' : 'text',
    start: null,
    end: null,
  })),
  label: parts.label ?? null,
  span: parts.span ?? null,
  truncated: 0,
  notes: [],
  text: parts.text ?? parts.tokens.map((id) => parts.texts?.[id] ?? `t${id}`).join(''),
  cells: parts.cells ?? {},
})

export async function* itemsOf(rows: readonly RowParts[]): AsyncGenerator<NewItem> {
  for (const [i, parts] of rows.entries()) yield await Promise.resolve({ kind: 'row', row: newRow(i, parts) })
}

/** An output as the model's hook points are shaped: all positions as they are unless given otherwise. */
export const newOutput = (
  hook: string,
  sizes: (number | null)[],
  rest: Partial<NewOutput> = {},
): NewOutput => {
  const point = parseHook(hook)
  return {
    hook,
    positions: { kind: 'all' },
    reduction: { kind: 'none' },
    dtype: 'float32',
    dims: point === null ? sizes.map((_, i) => `axis${i}`) : hookDims(point).slice(1),
    sizes,
    ...rest,
  }
}

export const about = (outputs: NewOutput[], name = 'Test') => ({
  name,
  note: '',
  provenance: {
    fingerprint,
    modelName: 'made up',
    precision: 'float32' as const,
    provider: 'cpu' as const,
    patchbay: 'test',
  },
  dataset: datasetSpec.parse({
    source: { kind: 'rows', rows: [] },
    prompt: { kind: 'column', column: 'text' },
  }),
  outputs,
})

/** The value of an output at a row, or null for none. */
export type ValueOf = (row: number, output: string) => { shape: number[]; data: Float32Array } | null

/** A complete collection whose values are given. */
export async function filled(
  { collections }: Pick<Place, 'collections'>,
  outputs: NewOutput[],
  rows: readonly RowParts[],
  valueOf: ValueOf,
  name = 'Test',
): Promise<string> {
  const writer = await collections.create(about(outputs, name), itemsOf(rows))
  await fill(writer, valueOf)
  await writer.complete()
  await writer.close()
  return writer.id
}

export async function fill(writer: CollectionWriter, valueOf: ValueOf): Promise<void> {
  const values = []
  for (let row = 0; row < writer.collection.length; row++)
    for (const output of writer.collection.outputs.keys()) {
      const value = valueOf(row, output)
      if (value !== null) values.push({ row, output, ...value })
    }
  await writer.put(values)
}

/** Numbers between −1 and 1 that differ everywhere. */
export const numbers = (seed: number, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233 + Math.cos(seed + i * 0.7)))

export const llamaHooks = ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post', 'blocks.0.attn.hook_z']

/** A collection filled from the llama of the reference cases: rows of different length at three hook points. */
export async function llama(at: Place, rows: readonly RowParts[], hooks = llamaHooks): Promise<string> {
  const model = await openReferenceModel(path.join(casesFolder, 'architectures', 'llama'))
  try {
    const results: RunResult[] = []
    for (const { tokens } of rows)
      results.push(
        await model.run(
          runInput.parse({
            request: { model: model.fingerprint, rows: [tokens], captures: hooks, logits: 'none' },
          }),
        ),
      )
    const outputs = hooks.map((hook) => newOutput(hook, [null, ...results[0].captures[hook].shape.slice(2)]))
    return await filled(at, outputs, rows, (row, output) => {
      const { shape, data } = results[row].captures[output]
      return { shape: shape.slice(1), data }
    })
  } finally {
    await model.close()
  }
}
