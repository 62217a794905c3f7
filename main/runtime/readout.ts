/**
 * Reads next-token distributions out of residual-stream rows: final norm, unembedding, logit scale and soft-cap, and the
 * few numbers of each distribution that a view wants. The logits themselves never leave the session, and only a bounded
 * number of rows is unembedded at a time.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../preload/errors'
import type { Provider } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { TransformerSpec } from '../models/spec'
import { throwIfCancelled } from './cancelled'
import type { Lowering } from './graph/context'
import { divergenceGraph, readoutGraph } from './graph/readout'
import type { PlacedWeights } from './placement'
import { floatData, floats, int64s, Session, type Feeds } from './session'

export interface ReadoutOptions {
  /** How many of the most probable tokens to return for each row; 0 to d_vocab. */
  k: number
  /** Tokens whose log-probability and rank are wanted: `ids` [n, perRow]. */
  targets?: { ids: Int32Array; perRow: number }
  signal?: AbortSignal
}

/** Next-token distributions of n residual-stream rows, reduced; all logarithms are natural. */
export interface Readout {
  /** [n, k], most probable first. */
  topIds: Int32Array
  topLogits: Float32Array
  topLogProbs: Float32Array
  /** Entropy in nats, [n]. */
  entropy: Float32Array
  /** [n, perRow]; empty without targets. */
  targetLogits: Float32Array
  targetLogProbs: Float32Array
  /** Number of tokens whose logit is strictly greater: 0 is the top. [n, perRow] */
  targetRanks: Int32Array
}

export interface ReadoutContext {
  readonly spec: TransformerSpec
  readonly weights: Pick<PlacedWeights, 'folder' | 'add'>
  readonly provider: Provider
  readonly lowering: Lowering
  /** Bound on what one run of the session holds of logits and their like, in bytes. */
  readonly budget?: number
}

const graphs = { readout: readoutGraph, divergence: divergenceGraph } as const

/** Some hundred rows of a vocabulary of 50,000: enough to keep the cores busy, little beside the model. */
const BUDGET = 128 * 2 ** 20
/** Arrays as large as the logits that are alive at once: logits, shifted, softmax, product. */
const COPIES = 4
/** And for each target: the larger logits, the comparison as numbers. */
const COPIES_PER_TARGET = 2

const FLOAT_OUTPUTS = ['max', 'peak', 'weighted', 'topLogits', 'targetLogits', 'targetRanks'] as const

export class ReadoutHead {
  private readonly sessions = new Map<keyof typeof graphs, Promise<Session>>()

  constructor(private readonly context: ReadoutContext) {}

  /**
   * Distributions of residual-stream rows as they are before the final norm.
   * @param residuals [n, d_model]
   * @throws PatchbayError `input.invalid` for shapes, k or targets that do not fit, `run.failed`, `run.cancelled`
   */
  async read(residuals: Tensor, { k, targets, signal }: ReadoutOptions): Promise<Readout> {
    const { vocab } = this.context.spec
    const rows = this.rowsOf(residuals)
    if (!Number.isInteger(k) || k < 0 || k > vocab) throw invalid(`${k} of ${vocab} tokens can not be listed`)
    const perRow = targets?.perRow ?? 0
    checkTargets(targets, rows, vocab)
    const result: Readout = {
      topIds: new Int32Array(rows * k),
      topLogits: new Float32Array(rows * k),
      topLogProbs: new Float32Array(rows * k),
      entropy: new Float32Array(rows),
      targetLogits: new Float32Array(rows * perRow),
      targetLogProbs: new Float32Array(rows * perRow),
      targetRanks: new Int32Array(rows * perRow),
    }
    if (rows === 0) return result
    const session = await this.session('readout')
    for (const [start, end] of this.chunks(rows, COPIES + COPIES_PER_TARGET * Math.max(1, perRow))) {
      throwIfCancelled(signal)
      const ids = targets?.ids.subarray(start * perRow, end * perRow)
      const wanted = Math.max(1, k)
      const outputs = await session.run(
        {
          resid: this.slice(residuals, start, end),
          wanted: floats(new Float32Array(wanted), [wanted]),
          targets: flatTargets(ids, end - start, perRow, vocab),
        },
        [...FLOAT_OUTPUTS, 'topIds'],
      )
      reduce(result, outputs, { start, end, k, perRow })
    }
    return result
  }

  /**
   * KL(p ‖ q) = Σ p (log p − log q) in nats of the distributions that two lists of rows read out to, never below 0.
   * @param p [n, d_model]
   * @param q [n, d_model]
   * @returns [n]
   */
  async divergence(p: Tensor, q: Tensor, { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const rows = this.rowsOf(p)
    if (this.rowsOf(q) !== rows) throw invalid(`${rows} rows can not be compared with ${q.shape[0]}`)
    const result = new Float32Array(rows)
    if (rows === 0) return result
    const session = await this.session('divergence')
    for (const [start, end] of this.chunks(rows, 2 * COPIES)) {
      throwIfCancelled(signal)
      const feeds: Feeds = { p: this.slice(p, start, end), q: this.slice(q, start, end) }
      const names = ['peakP', 'peakQ', 'weighted']
      const outputs = await session.run(feeds, names)
      const [peakP, peakQ, weighted] = names.map((name) => floatData(outputs[name]))
      for (let i = 0; i < end - start; i++)
        result[start + i] = Math.max(0, weighted[i] + Math.log(peakP[i]) - Math.log(peakQ[i]))
    }
    return result
  }

  /** Frees the sessions. */
  async release(): Promise<void> {
    const sessions = [...this.sessions.values()]
    this.sessions.clear()
    for (const session of sessions) await (await session).release()
  }

  /** Compiled when it is first needed; without prepacking, which would keep a second copy of the unembedding. */
  private async session(kind: keyof typeof graphs): Promise<Session> {
    const known = this.sessions.get(kind)
    if (known !== undefined) return known
    const { spec, weights, provider, lowering } = this.context
    const graph = graphs[kind](spec, weights.add, lowering)
    const session = Session.create(graph, { provider, folder: weights.folder, prepack: false })
    this.sessions.set(kind, session)
    // A failure is the caller's to see; the next call tries again.
    session.catch(() => this.sessions.delete(kind))
    return session
  }

  private rowsOf({ shape, data }: Tensor): number {
    const { dModel } = this.context.spec
    if (shape.length !== 2 || shape[1] !== dModel || data.length !== shape[0] * dModel)
      throw invalid(`residual-stream rows [${shape.join(', ')}] do not fit a model of width ${dModel}`)
    return shape[0]
  }

  private slice({ data }: Tensor, start: number, end: number): OrtTensor {
    const { dModel } = this.context.spec
    return floats(data.subarray(start * dModel, end * dModel), [end - start, dModel])
  }

  /** Row ranges whose logits, `copies` times, stay within the budget. */
  private *chunks(rows: number, copies: number): Generator<[number, number]> {
    const perRow = 4 * this.context.spec.vocab * copies
    const size = Math.max(1, Math.floor((this.context.budget ?? BUDGET) / perRow))
    for (let start = 0; start < rows; start += size) yield [start, Math.min(rows, start + size)]
  }
}

/** Logarithms and quotients in float64, from what the session reduced. */
function reduce(
  result: Readout,
  outputs: Record<string, OrtTensor>,
  { start, end, k, perRow }: { start: number; end: number; k: number; perRow: number },
): void {
  const [max, peak, weighted, topLogits, targetLogits, ranks] = FLOAT_OUTPUTS.map((name) =>
    floatData(outputs[name]),
  )
  const topIds = outputs.topIds.data
  const listed = Math.max(1, k)
  const targets = Math.max(1, perRow)
  for (let i = 0; i < end - start; i++) {
    const row = start + i
    const logSum = -Math.log(peak[i])
    // −Σ p log p, with log p = (x − max) − log Σ exp(x − max)
    result.entropy[row] = logSum - weighted[i]
    for (let j = 0; j < k; j++) {
      const logit = topLogits[i * listed + j]
      result.topIds[row * k + j] = Number(topIds[i * listed + j])
      result.topLogits[row * k + j] = logit
      result.topLogProbs[row * k + j] = logit - max[i] - logSum
    }
    for (let j = 0; j < perRow; j++) {
      const logit = targetLogits[i * targets + j]
      result.targetLogits[row * perRow + j] = logit
      result.targetLogProbs[row * perRow + j] = logit - max[i] - logSum
      result.targetRanks[row * perRow + j] = ranks[i * targets + j]
    }
  }
}

/** Indices of the targets in the flattened logits, [rows, perRow]; where there are none, token 0 stands in. */
function flatTargets(ids: Int32Array | undefined, rows: number, perRow: number, vocab: number): OrtTensor {
  const columns = Math.max(1, perRow)
  const flat = Array.from({ length: rows * columns }, (_, i) => {
    const id = ids === undefined || perRow === 0 ? 0 : ids[i]
    return Math.floor(i / columns) * vocab + id
  })
  return int64s(flat, [rows, columns])
}

function checkTargets(targets: ReadoutOptions['targets'], rows: number, vocab: number): void {
  if (targets === undefined) return
  if (targets.ids.length !== rows * targets.perRow)
    throw invalid(`${targets.ids.length} target tokens do not fit ${rows} rows of ${targets.perRow}`)
  const outside = targets.ids.find((id) => id < 0 || id >= vocab)
  if (outside !== undefined) throw invalid(`there is no token ${outside} in a vocabulary of ${vocab}`)
}

const invalid = (problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `Reading out is not possible: ${problem}.`, {
    next: 'Ask for what this model has.',
  })
