/**
 * A buffer between a stream of activations and its training: neighbouring rows come from the same text, so batches are
 * drawn at random from many chunks. Rows are drawn without replacement; the buffer is filled up when it is half empty. Its
 * whole content is part of its state, so that a resumed run draws the same batches.
 */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import type { Saved, SavedTensor } from '../checkpoint'
import type { Stateful } from '../loop/types'
import { randomState, SeededRandom } from '../random'
import type { ActivationChunk, ActivationSource } from './source'

const savedBuffer = z.object({
  random: randomState,
  consumed: z.number().int().nonnegative(),
  rows: z.number().int().nonnegative(),
  ended: z.boolean(),
})

export class ShuffleBuffer implements Stateful {
  readonly #random: SeededRandom
  readonly #x: Rows
  readonly #y: Rows | null
  #stream: AsyncIterator<ActivationChunk> | null = null
  /** Chunks read so far. */
  #consumed = 0
  #ended = false

  /** @param capacity rows that it holds when it is full; the last chunk may exceed it */
  constructor(
    private readonly source: ActivationSource,
    private readonly capacity: number,
    seed: number,
  ) {
    this.#random = new SeededRandom(seed)
    this.#x = new Rows(source.dIn)
    this.#y = source.dOut === null ? null : new Rows(source.dOut)
  }

  /** Rows that are in it now. */
  get rows(): number {
    return this.#x.count
  }

  /** The rows as they are; not copies. */
  get content(): ActivationChunk {
    return { rows: this.rows, x: this.#x.view, y: this.#y?.view }
  }

  /** Reads until it is full or the stream has ended. @throws PatchbayError `input.invalid` for rows that are no numbers */
  async fill(): Promise<void> {
    while (this.rows < this.capacity && !this.#ended) {
      this.#stream ??= this.source.chunks(this.#consumed)[Symbol.asyncIterator]()
      const next = await this.#stream.next()
      if (next.done === true) {
        this.#ended = true
        return
      }
      const { value } = next
      checkChunk(value, this.source, this.#consumed)
      this.#consumed++
      this.#x.add(value.x)
      if (value.y !== undefined) this.#y?.add(value.y)
    }
  }

  /** `rows` rows in random order; null where fewer are left. */
  async draw(rows: number): Promise<ActivationChunk | null> {
    if (this.rows < Math.max(rows, this.capacity / 2)) await this.fill()
    if (this.rows < rows) return null
    const x = new Float32Array(rows * this.#x.width)
    const y = this.#y === null ? undefined : new Float32Array(rows * this.#y.width)
    for (let i = 0; i < rows; i++) {
      const row = this.#random.integer(0, this.rows - 1)
      this.#x.take(row, x, i)
      if (y !== undefined) this.#y?.take(row, y, i)
    }
    return { rows, x, y }
  }

  /** Ends the stream where it is; nothing more is read. */
  async close(): Promise<void> {
    this.#ended = true
    await this.#stream?.return?.()
  }

  save(): Saved {
    const tensors = new Map<string, SavedTensor>([
      ['x', { shape: [this.rows, this.#x.width], data: this.#x.view }],
    ])
    if (this.#y !== null) tensors.set('y', { shape: [this.rows, this.#y.width], data: this.#y.view })
    const state = {
      random: this.#random.state,
      consumed: this.#consumed,
      rows: this.rows,
      ended: this.#ended,
    }
    return { tensors, state }
  }

  restore({ tensors, state }: Saved): void {
    const parsed = savedBuffer.safeParse(state)
    const [x, y] = ['x', 'y'].map((name) => tensors.get(name)?.data)
    if (!parsed.success || !(x instanceof Float32Array) || (this.#y !== null && !(y instanceof Float32Array)))
      throw new PatchbayError('file.malformed', 'The checkpoint lacks the buffer of activations.', {
        next: 'Start again without resuming.',
      })
    this.#random.state = parsed.data.random
    this.#consumed = parsed.data.consumed
    this.#ended = parsed.data.ended
    this.#stream = null
    this.#x.replace(x)
    if (y instanceof Float32Array) this.#y?.replace(y)
  }
}

function checkChunk({ rows, x, y }: ActivationChunk, { dIn, dOut }: ActivationSource, index: number): void {
  const refused = (problem: string): PatchbayError =>
    new PatchbayError('input.invalid', `Chunk ${index} of the activations ${problem}.`, {
      next: 'Look at the prompt that it comes from, and leave it out.',
    })
  if (x.length !== rows * dIn || (dOut !== null && y?.length !== rows * dOut))
    throw refused(`does not hold ${rows} rows of ${dIn}${dOut === null ? '' : ` and ${dOut}`} numbers`)
  for (const data of [x, y])
    if (data !== undefined)
      for (let i = 0; i < data.length; i++)
        if (!Number.isFinite(data[i]))
          throw refused(`has ${data[i]} in row ${Math.floor((i * rows) / data.length)}`)
}

/** Rows of numbers in one array that grows. */
class Rows {
  #data: Float32Array
  count = 0

  constructor(readonly width: number) {
    this.#data = new Float32Array(0)
  }

  get view(): Float32Array {
    return this.#data.subarray(0, this.count * this.width)
  }

  add(rows: Float32Array): void {
    const used = this.count * this.width
    if (used + rows.length > this.#data.length) {
      const larger = new Float32Array(Math.max(used + rows.length, 2 * this.#data.length))
      larger.set(this.view)
      this.#data = larger
    }
    this.#data.set(rows, used)
    this.count += rows.length / this.width
  }

  /** Moves a row out into `into`; the last one takes its place. */
  take(row: number, into: Float32Array, at: number): void {
    const { width } = this
    into.set(this.#data.subarray(row * width, (row + 1) * width), at * width)
    this.count--
    this.#data.copyWithin(row * width, this.count * width, (this.count + 1) * width)
  }

  replace(rows: Float32Array): void {
    this.#data = rows.slice()
    this.count = rows.length / this.width
  }
}
