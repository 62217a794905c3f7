/** A small decoder that can be trained: its compiled training graph, and loss and gradients of batches of token rows. */
import { PatchbayError } from '../../../preload/errors'
import type { TransformerSpec } from '../../models/spec'
import { biasKey, layoutOf, SharedInputs } from '../../runtime/layout'
import { floatData, floats, int64s, Session, type Feeds } from '../../runtime/session'
import { sharedNames } from '../../runtime/graph/segment'
import type { StepResult } from '../loop/types'
import type { Parameter } from '../optimiser/parameter'
import { gradientOutput, logitsGraph, trainingGraph } from './graph'

/** Rows of equal length: `rows` × (columns + 1) token ids; each row's targets are its tokens shifted by one. */
export interface TokenBatch {
  readonly rows: number
  readonly columns: number
  /** [rows, columns + 1] */
  readonly ids: Int32Array
}

/** Logits [vocab] behind the last token of each row of token ids. */
export type NextLogits = (rows: readonly (readonly number[])[]) => Promise<Float32Array[]>

export class TrainableModel {
  readonly #fixed = new Map<string, Feeds>()
  #logits: Session | null = null

  private constructor(
    private readonly spec: TransformerSpec,
    readonly parameters: readonly Parameter[],
    private readonly session: Session,
  ) {}

  /** @throws PatchbayError `model.unsupported`, `run.failed`, `memory.exhausted` */
  static async create(spec: TransformerSpec, parameters: readonly Parameter[]): Promise<TrainableModel> {
    const session = await Session.create(trainingGraph(spec), { provider: 'cpu', prepack: true })
    return new TrainableModel(spec, parameters, session)
  }

  /** Mean cross-entropy in nats, and its gradient by every parameter. */
  async compute(batch: TokenBatch): Promise<StepResult> {
    const names = this.parameters.map(({ name }) => gradientOutput(name))
    const out = await this.session.run(this.#feeds(batch), ['loss', ...names])
    const gradients = new Map(
      this.parameters.map(({ name }) => [name, floatData(out[gradientOutput(name)])] as const),
    )
    return { loss: floatData(out.loss)[0], gradients }
  }

  /** Logits behind the last token of each row, at the parameters as they are. */
  async nextLogits(rows: readonly (readonly number[])[]): Promise<Float32Array[]> {
    this.#logits ??= await Session.create(logitsGraph(this.spec), { provider: 'cpu', prepack: true })
    const columns = Math.max(...rows.map((row) => row.length))
    const ids = rows.flatMap((row) => [...row, ...Array<number>(columns - row.length).fill(0)])
    const feeds = {
      ...this.#weights(),
      ...this.#shared(rows.length, columns),
      tokens: int64s(ids, [rows.length, columns]),
    }
    const logits = floatData((await this.#logits.run(feeds, ['logits'])).logits)
    const { vocab } = this.spec
    // Padding lies behind the last token, where it changes nothing.
    return rows.map((row, i) => {
      const start = (i * columns + row.length - 1) * vocab
      return logits.slice(start, start + vocab)
    })
  }

  async release(): Promise<void> {
    await this.session.release()
    await this.#logits?.release()
  }

  #weights(): Feeds {
    return Object.fromEntries(this.parameters.map(({ name, shape, data }) => [name, floats(data, shape)]))
  }

  #feeds({ rows, columns, ids }: TokenBatch): Feeds {
    const width = columns + 1
    if (ids.length !== rows * width)
      throw new PatchbayError('internal', `A batch has ${ids.length} ids, not ${rows} × ${width}.`)
    const tokens: number[] = []
    const targets: number[] = []
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        tokens.push(ids[row * width + column])
        targets.push(ids[row * width + column + 1])
      }
    return {
      ...this.#weights(),
      ...this.#shared(rows, columns),
      tokens: int64s(tokens, [rows, columns]),
      targets: int64s(targets, [rows * columns, 1]),
    }
  }

  /** Rotary angles, attention bias and positions, which depend on the batch's shape alone. */
  #shared(rows: number, columns: number): Feeds {
    const key = `${rows}×${columns}`
    const known = this.#fixed.get(key)
    if (known !== undefined) return known
    if (this.#fixed.size >= 8) this.#fixed.clear()
    const layout = layoutOf(Array<number>(rows).fill(columns))
    const inputs = new SharedInputs(layout)
    const feeds: Feeds = {}
    const seen = new Set<string>()
    this.spec.blocks.forEach(({ attention }, layer) => {
      const { rope, bias } = sharedNames(this.spec, 0, layer)
      if (!seen.has(biasKey(attention))) feeds[bias] = inputs.bias(attention)
      seen.add(biasKey(attention))
      if (rope === null) return
      const { cos, sin } = inputs.angles(this.spec.ropes[rope])
      feeds[`cos_${rope}`] = cos
      feeds[`sin_${rope}`] = sin
    })
    const table = this.spec.embedding.positions
    if (table !== null)
      feeds.positions = int64s(
        Array.from(layout.queryPositions, (position) => position + table.offset),
        [rows, columns],
      )
    this.#fixed.set(key, feeds)
    return feeds
  }
}
