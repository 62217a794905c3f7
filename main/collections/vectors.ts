/**
 * One vector a row: what maps, neighbours and norms are of. Vectors are kept in memory where they fit (those of all rows also
 * for whoever asks next) and read again from the store, slice by slice, where they do not.
 */
import { PatchbayError } from '../../preload/errors'
import type { OpenCollection } from './collection'
import { keepVectors, keptVectors, vectorsOfRows } from './kept-vectors'
import type { StoredOutput } from './schema'
import { streamRows, type StreamOptions } from './stream'

export interface VectorChoice {
  output: string
  /** Among the positions that the output keeps, from the end where negative; or the mean over them. */
  position: number | 'mean'
}

/** Bytes of vectors that are kept. */
const KEPT_BYTES = 512 << 20
/** Rows of a slice. */
const SLICE_ROWS = 1024

/** Axes on which an output has its positions. */
const isPosition = (dim: string): boolean => dim === 'pos' || dim === 'q_pos'
export const positionAxis = ({ dims }: Pick<StoredOutput, 'dims'>): number => dims.findIndex(isPosition)

/**
 * Numbers of one position of an output (its further axes joined); of all of it where it has no positions.
 * @throws PatchbayError `hook.unavailable` where that depends on the row
 */
export function widthOf({ name, dims, sizes }: Pick<StoredOutput, 'name' | 'dims' | 'sizes'>): number {
  const axis = positionAxis({ dims })
  const width = sizes.reduce<number>(
    (product, size, i) => (i === axis ? product : product * (size ?? NaN)),
    1,
  )
  if (Number.isFinite(width) && axis <= 0) return width
  throw new PatchbayError('hook.unavailable', `${name} has no fixed number of values at each position.`, {
    field: 'output',
    next: 'Choose the residual stream, heads (attn.hook_z) or the MLP.',
  })
}

export interface VectorSlice {
  rows: Int32Array
  /** [rows, width] */
  data: Float32Array
}

export class VectorSource {
  readonly width: number
  private kept: VectorSlice[] | null = null

  constructor(
    private readonly collection: OpenCollection,
    private readonly choice: VectorChoice,
    private readonly rows: Int32Array | null,
    private readonly keptBytes = KEPT_BYTES,
  ) {
    this.width = widthOf(collection.output(choice.output))
  }

  /**
   * All vectors in slices, in order of rows; rows that have none are left out.
   * @throws PatchbayError `run.cancelled`, `file.unreadable`
   */
  async *slices(options: Pick<StreamOptions, 'signal' | 'onProgress'> = {}): AsyncGenerator<VectorSlice> {
    const whole = keptVectors(this.collection, this.choice)
    if (whole !== null) {
      yield* this.rows === null ? whole : vectorsOfRows(whole, this.rows)
      return
    }
    if (this.kept !== null) {
      yield* this.kept
      return
    }
    let keeping: VectorSlice[] | null = []
    let bytes = 0
    for await (const slice of this.read(options)) {
      bytes += slice.data.byteLength
      if (bytes > this.keptBytes) keeping = null
      keeping?.push(slice)
      yield slice
    }
    this.kept = keeping
    if (keeping !== null && this.rows === null) keepVectors(this.collection, this.choice, keeping)
  }

  /** The vector of one row; null where it has none. */
  async one(row: number): Promise<Float32Array | null> {
    const only = new VectorSource(this.collection, this.choice, Int32Array.of(row))
    for await (const { data } of only.slices()) return data
    return null
  }

  private async *read(options: Pick<StreamOptions, 'signal' | 'onProgress'>): AsyncGenerator<VectorSlice> {
    const { width } = this
    let rows: number[] = []
    let data = new Float32Array(SLICE_ROWS * width)
    for await (const { row, vector } of this.vectors(options)) {
      data.set(vector, rows.length * width)
      rows.push(row)
      if (rows.length < SLICE_ROWS) continue
      yield { rows: Int32Array.from(rows), data }
      rows = []
      data = new Float32Array(SLICE_ROWS * width)
    }
    if (rows.length > 0) yield { rows: Int32Array.from(rows), data: data.slice(0, rows.length * width) }
  }

  private async *vectors(
    options: Pick<StreamOptions, 'signal' | 'onProgress'>,
  ): AsyncGenerator<{ row: number; vector: Float32Array }> {
    const { collection, rows, width } = this
    const { output, position } = this.choice
    const axis = positionAxis(collection.output(output))
    const at = (count: number): number | null => {
      const index = position === 'mean' ? 0 : position < 0 ? count + position : position
      return index >= 0 && index < count ? index : null
    }
    const stream = streamRows(collection, output, {
      ...options,
      rows,
      slice: (stored) => {
        if (axis < 0) return []
        const index = at(collection.positionsOf(stored, output).length)
        return index === null ? null : position === 'mean' ? [] : [[index, index + 1]]
      },
    })
    for await (const { row, values } of stream)
      yield { row, vector: values.data.length === width ? values.data : meanOf(values.data, width) }
  }
}

/** The mean of vectors [n, width]. */
function meanOf(data: Float32Array, width: number): Float32Array {
  const sum = new Float64Array(width)
  const count = data.length / width
  for (let i = 0; i < count; i++) for (let d = 0; d < width; d++) sum[d] += data[i * width + d]
  return Float32Array.from(sum, (value) => value / count)
}
