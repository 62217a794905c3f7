/**
 * Filling a collection: its rows stand on the disk before the first value, then values go into the store in any order. A
 * row's values are there or not, so that whoever goes on asks what is missing and computes only that.
 */
import type { DatasetSpec, RowFailure } from '../../preload/datasets'
import { PatchbayError } from '../../preload/errors'
import type { ExtractOutput } from '../../preload/extraction'
import type { Provenance } from '../../preload/run'
import type { ActivationStore, PutItem, PutReport } from '../cache/store/store'
import type { OpenCollection } from './collection'
import { writeManifest } from './folder'
import { setOf, type OutputContent } from './names'
import type { Manifest, StoredOutput, StoredRow } from './schema'

/** An output to make: one hook point, with what it will hold. */
export interface NewOutput extends OutputContent {
  /** Canonical name, or `value:NAME` of an exported graph. */
  hook: string
  positions: ExtractOutput['positions']
  reduction: ExtractOutput['reduction']
  dtype: ExtractOutput['dtype']
  /** Axes of a row's values, and their sizes, null where they depend on the row. */
  dims: string[]
  sizes: (number | null)[]
}

/** What a collection is of; its rows come beside it. */
export interface NewCollection {
  name: string
  note: string
  provenance: Omit<Provenance, 'requestHash'>
  dataset: DatasetSpec
  outputs: NewOutput[]
}

/** The values of one row at one output. */
export interface RowValues {
  row: number
  output: string
  shape: readonly number[]
  data: Float32Array
}

export class CollectionWriter {
  private readonly errors = new Map<string, number>()

  constructor(
    readonly collection: OpenCollection,
    private readonly store: ActivationStore,
    /** Rows that failed later, when they were computed. */
    private readonly failures: RowFailure[] = [],
  ) {}

  get id(): string {
    return this.collection.id
  }

  /**
   * Stores values; returns when they are on the disk. Those that are there already are not written again.
   * @throws PatchbayError `disk.full`, `disk.failed`, `run.cancelled`; `input.invalid` for a shape that the output has not
   */
  async put(values: readonly RowValues[], signal?: AbortSignal): Promise<PutReport> {
    const rows = new Map<number, StoredRow>()
    for (const { row } of values) if (!rows.has(row)) rows.set(row, await this.collection.row(row))
    const items: PutItem[] = []
    for (const { row, output, shape, data } of values) {
      const stored = rows.get(row)
      const entry = stored === undefined ? null : this.collection.entryOf(stored, output)
      if (stored === undefined || entry === null)
        throw new PatchbayError('internal', `Row ${row} keeps nothing at ${output}.`)
      checkShape(this.collection.output(output), shape)
      items.push({ ...entry, request: this.collection.requestOf(stored), shape, data })
    }
    const report = await this.store.put(items, { set: setOf(this.id), signal })
    await this.noteErrors([...rows.values()], signal)
    return report
  }

  /**
   * Keeps the largest errors of what is stored of rows, for `complete` to say.
   * @throws PatchbayError `run.cancelled`, `file.unreadable`
   */
  async noteErrors(rows: readonly StoredRow[], signal?: AbortSignal): Promise<void> {
    for (const [output, error] of await this.collection.errorsOf(rows, signal))
      this.errors.set(output, Math.max(error, this.errors.get(output) ?? 0))
  }

  /** Notes a row that could not be computed; it stays in the table, without values. */
  fail(failure: RowFailure): void {
    this.failures.push(failure)
  }

  /** Says that everything that can be there is there, with the failures and what storing lost. */
  async complete(): Promise<void> {
    const { manifest, folder } = this.collection
    const failed = new Map([...manifest.failures, ...this.failures].map((failure) => [failure.row, failure]))
    const content: Manifest = {
      ...manifest,
      outputs: manifest.outputs.map((output) => ({
        ...output,
        error: Math.max(output.error, this.errors.get(output.name) ?? 0),
      })),
      failures: [...failed.values()].sort((a, b) => a.row - b.row),
      complete: true,
    }
    await writeManifest(folder, content)
  }

  async close(): Promise<void> {
    await this.collection.close()
  }
}

function checkShape({ name, dims, sizes }: StoredOutput, shape: readonly number[]): void {
  if (shape.length === sizes.length && sizes.every((size, axis) => size === null || size === shape[axis]))
    return
  throw new PatchbayError(
    'input.invalid',
    `Values at ${name} have the shape [${shape.join(', ')}], not [${dims.join(', ')}].`,
    { field: 'shape', next: 'This is a defect in what extracts them; please report it.' },
  )
}
