/**
 * An open collection: its rows by number, and the values of a row at an output from the activation store. What is not there
 * (not extracted yet, evicted, damaged) reads as null, never as zeros.
 */
import type { TokenInfo } from '../../preload/prompt'
import { PatchbayError } from '../../preload/errors'
import type { RowRequest } from '../cache/row-request'
import type { ActivationStore, EntryId, Slice, StoredValues } from '../cache/store/store'
import { quoted } from '../models/formats/malformed'
import { pathsOf } from './folder'
import { LinesReader } from './lines-file'
import { entryOutput } from './names'
import { selectPositions, TokenPattern } from './positions'
import { storedRow, storedToken, type Manifest, type StoredOutput, type StoredRow } from './schema'

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
    const wanted = [...this.outputs.keys()].flatMap((name) => {
      const entry = this.entryOf(row, name)
      return entry === null ? [] : [{ name, entry }]
    })
    const found = await this.store.has(wanted.map(({ entry }) => entry))
    return wanted.filter((_, i) => !found[i]).map(({ name }) => name)
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

  /** The shape of a row's values; null where they are not there. */
  async shapeOf(row: StoredRow, name: string): Promise<readonly number[] | null> {
    const entry = this.entryOf(row, name)
    if (entry === null) return null
    const found = await this.store.find(entry)
    // Read where another dtype may serve: it is rare, and only its shape counts.
    return found?.shape ?? (await this.store.readBest(entry))?.shape ?? null
  }

  /** The error that storing a row's values made; null where they are not there. */
  async errorOf(row: StoredRow, name: string): Promise<number | null> {
    const entry = this.entryOf(row, name)
    return entry === null ? null : ((await this.store.find(entry))?.error.relative ?? null)
  }

  async close(): Promise<void> {
    await this.lines.close()
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
