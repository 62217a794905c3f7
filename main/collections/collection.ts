/**
 * An open collection: its rows by number, and the values of a row at an output from the activation store. What is not there
 * (not extracted yet, evicted, damaged) reads as null, never as zeros.
 */
import type { TokenInfo } from '../../preload/prompt'
import { PatchbayError } from '../../preload/errors'
import type { RowRequest } from '../cache/row-request'
import type { EntryStorage } from '../cache/store/entry'
import type { ActivationStore, EntryId, Slice, StoredValues } from '../cache/store/store'
import { quoted } from '../models/formats/malformed'
import { pathsOf } from './folder'
import { LinesReader } from './lines-file'
import { findAll } from './look-up'
import { entryOutput } from './names'
import { selectPositions, TokenPattern } from './positions'
import { storedRow, storedToken, type Manifest, type StoredOutput, type StoredRow } from './schema'

/** Equal for rows whose values are the same entries: they have the same tokens, and any rule selects the same of them. */
export const valuesKey = ({ key, own, span }: Pick<StoredRow, 'key' | 'own' | 'span'>): string =>
  // As many bits as the store's index tells entries apart by: this is kept for every row.
  `${key.slice(0, 32)} ${own.join()} ${span?.join() ?? ''}`

export class OpenCollection {
  readonly outputs: ReadonlyMap<string, StoredOutput>
  private readonly patterns = new Map<string, TokenPattern>()

  private constructor(
    readonly folder: string,
    public manifest: Manifest,
    private readonly lines: LinesReader<StoredRow>,
    /** Every token that occurs, by id. */
    readonly tokens: ReadonlyMap<number, TokenInfo>,
    private readonly store: ActivationStore,
  ) {
    this.outputs = new Map(manifest.outputs.map((output) => [output.name, output]))
  }

  /** @throws PatchbayError `file.missing`, `file.malformed` where a file is not what was written */
  static async open(folder: string, manifest: Manifest, store: ActivationStore): Promise<OpenCollection> {
    const paths = pathsOf(folder)
    const table = await LinesReader.open(paths.tokens, manifest.files.tokens, storedToken)
    const tokens = new Map<number, TokenInfo>()
    try {
      for await (const [id, piece, text, special] of table.read())
        tokens.set(id, { id, piece, text, special })
    } finally {
      await table.close()
    }
    const lines = await LinesReader.open(paths.rows, manifest.files.rows, storedRow)
    return new OpenCollection(folder, manifest, lines, tokens, store)
  }

  get id(): string {
    return this.manifest.id
  }

  get length(): number {
    return this.lines.lines
  }

  /** @throws PatchbayError `input.invalid` for a row that is not there */
  async row(row: number): Promise<StoredRow> {
    if (!Number.isInteger(row) || row < 0 || row >= this.length)
      throw new PatchbayError('input.invalid', `The collection has ${this.length} rows and no row ${row}.`, {
        field: 'row',
        next: 'Rows count from 0.',
      })
    return this.lines.line(row)
  }

  /** Rows [from, to) in order. */
  rows(from = 0, to = this.length): AsyncGenerator<StoredRow> {
    return this.lines.read(from, to)
  }

  /** Some rows, ascending. */
  rowsAt(rows: Int32Array): AsyncGenerator<StoredRow> {
    return this.lines.pick(rows)
  }

  /** @throws PatchbayError `input.invalid` */
  output(name: string): StoredOutput {
    const output = this.outputs.get(name)
    if (output !== undefined) return output
    throw new PatchbayError('input.invalid', `The collection has no output ${quoted(name)}.`, {
      field: 'output',
      next: 'Choose one of the outputs that its description lists.',
    })
  }

  /** The tokens of a row with their texts. */
  tokensOf({ tokens }: StoredRow): TokenInfo[] {
    return tokens.map((id) => this.tokens.get(id) ?? { id, piece: '', text: '', special: false })
  }

  /** The positions of a row that an output keeps or reduces; none where its pattern matches no token. */
  positionsOf(row: StoredRow, name: string): number[] {
    const { positions } = this.output(name).asked
    const pattern = positions.kind === 'matching' ? this.pattern(positions.pattern) : null
    return selectPositions(positions, row, (token) => pattern?.matches(token) === true)
  }

  async positions(row: number, name: string): Promise<number[]> {
    return this.positionsOf(await this.row(row), name)
  }

  /** The request whose pass computes a row: its key is the row's in the store. */
  requestOf(row: StoredRow): RowRequest {
    const { fingerprint, precision, provider } = this.manifest.provenance
    return {
      version: 1,
      model: fingerprint,
      precision,
      provider,
      tokens: row.tokens,
      interventions: [],
    }
  }

  /** Where the store has a row's values at an output; null where the output keeps none of its positions. */
  entryOf(row: StoredRow, name: string): EntryId | null {
    const { hook, asked, dtype, content, part } = this.output(name)
    const positions = this.positionsOf(row, name)
    if (positions.length === 0) return null
    const output = entryOutput(hook, positions, row.tokens.length, asked.reduction, { content, part })
    return { row: row.key, output, dtype }
  }

  /** Outputs of which a row has no values, though it should. */
  async missing(row: StoredRow): Promise<string[]> {
    const wanted = this.entriesOf(row)
    const found = await this.store.has(wanted.map(({ entry }) => entry))
    return wanted.filter((_, i) => !found[i]).map(({ name }) => name)
  }

  /**
   * The largest error that storing values of rows made, by output; outputs of which nothing is there are left out.
   * @throws PatchbayError `run.cancelled`, `file.unreadable`
   */
  async errorsOf(rows: readonly StoredRow[], signal?: AbortSignal): Promise<Map<string, number>> {
    const wanted = rows.flatMap((row) => this.entriesOf(row))
    const entries = wanted.map(({ entry }) => entry)
    const errors = new Map<string, number>()
    for (const [i, found] of (await findAll(this.store, entries, signal)).entries()) {
      const { name } = wanted[i]
      if (found !== null) errors.set(name, Math.max(found.error.relative, errors.get(name) ?? 0))
    }
    return errors
  }

  /**
   * The values of a row at an output, or a slice of them, as float32; null where they are not there.
   * @throws PatchbayError `input.invalid` for a slice outside of them, `file.unreadable`
   */
  async valuesOf(row: StoredRow, name: string, slice?: Slice): Promise<StoredValues | null> {
    const entry = this.entryOf(row, name)
    if (entry === null) return null
    // Another dtype of the same numbers serves where the one that was asked for is gone.
    return (await this.store.read(entry, slice)) ?? this.store.readBest(entry, { slice })
  }

  async read(row: number, name: string, slice?: Slice): Promise<StoredValues | null> {
    return this.valuesOf(await this.row(row), name, slice)
  }

  /** The shape of a row's values and how they lie in the store; null where they are not there. */
  async formOf(
    row: StoredRow,
    name: string,
  ): Promise<{ shape: readonly number[]; storage: EntryStorage } | null> {
    const entry = this.entryOf(row, name)
    if (entry === null) return null
    const found = await this.store.find(entry)
    if (found !== null) return found
    // Where another dtype serves, which is rare, its values count as float32.
    const other = await this.store.readBest(entry)
    return other === null ? null : { shape: other.shape, storage: 'F32' }
  }

  async close(): Promise<void> {
    await this.lines.close()
  }

  /** What there has to be of a row. */
  private entriesOf(row: StoredRow): { name: string; entry: EntryId }[] {
    return [...this.outputs.keys()].flatMap((name) => {
      const entry = this.entryOf(row, name)
      return entry === null ? [] : [{ name, entry }]
    })
  }

  private pattern(text: string): TokenPattern {
    let pattern = this.patterns.get(text)
    if (pattern === undefined) {
      pattern = new TokenPattern(text)
      pattern.learn(this.tokens.values())
      this.patterns.set(text, pattern)
    }
    return pattern
  }
}
