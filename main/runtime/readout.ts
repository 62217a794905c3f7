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
import { SessionPool, type SessionLease } from './session-pool'

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
  readonly weights: Pick<PlacedWeights, 'folder' | 'add' | 'quantised'>
  readonly provider: Provider
  readonly lowering: Lowering
  /** Bound on what one run of the session holds of logits and their like, in bytes. */
  readonly budget?: number
  /** Whether sessions are made for each reading and released behind it: where memory is short. */
  readonly transient?: boolean
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
  private readonly pool = new SessionPool(0)

  constructor(private readonly context: ReadoutContext) {}

  /**
   * Distributions of residual-stream rows as they are before the final norm.
   * @param residuals [n, d_model]
   * @throws PatchbayError `input.invalid` for shapes, k or targets that do not fit, `run.failed`, `run.cancelled`
   */
  async read(residuals: Tensor, { k, targets, signal }: ReadoutOptions): Promise<Readout> {
    const { vocab } = this.context.spec
    const rows = this.rowsOf(residuals)
    const perRow = targets?.perRow ?? 0
    checkReadout({ k, targets }, rows, vocab)
    const result = emptyReadout(rows, k, perRow)
    if (rows === 0) return result
    const { session, done } = await this.session('readout')
    try {
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
    } finally {
      await done()
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
    if (this.rowsOf(q) !== rows) throw unequal(p, q)
    const result = new Float32Array(rows)
    if (rows === 0) return result
    const { session, done } = await this.session('divergence')
    try {
      for (const [start, end] of this.chunks(rows, 2 * COPIES)) {
        throwIfCancelled(signal)
        const feeds: Feeds = { p: this.slice(p, start, end), q: this.slice(q, start, end) }
        const names = ['peakP', 'peakQ', 'weighted']
        const outputs = await session.run(feeds, names)
        const [peakP, peakQ, weighted] = names.map((name) => floatData(outputs[name]))
        for (let i = 0; i < end - start; i++)
          result[start + i] = Math.max(0, weighted[i] + Math.log(peakP[i]) - Math.log(peakQ[i]))
      }
    } finally {
      await done()
    }
    return result
  }

  /** Frees the sessions. */
  release(): Promise<void> {
    return this.pool.release()
  }

  /**
   * Compiled when it is first needed; without prepacking, which would keep a second copy of the unembedding, unless that is
   * quantised: then it is small, and would be made float32 in every run.
   */
  private session(kind: keyof typeof graphs): Promise<SessionLease> {
    const { spec, weights, provider, lowering, transient = false } = this.context
    return this.pool.lease({ key: kind, bytes: transient ? 0 : null }, () =>
      Session.create(graphs[kind](spec, weights.add, lowering), {
        provider,
        folder: weights.folder,
        prepack: weights.quantised,
      }),
    )
  }

  private rowsOf(residuals: Tensor): number {
    return rowsOf(residuals, this.context.spec.dModel)
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

/** Rows of a residual stream [n, d_model]. @throws PatchbayError `input.invalid` */
export function rowsOf({ shape, data }: Tensor, dModel: number): number {
  if (shape.length !== 2 || shape[1] !== dModel || data.length !== shape[0] * dModel)
    throw invalid(`residual-stream rows [${shape.join(', ')}] do not fit a model of width ${dModel}`)
  return shape[0]
}

export const emptyReadout = (rows: number, k: number, perRow: number): Readout => ({
  topIds: new Int32Array(rows * k),
  topLogits: new Float32Array(rows * k),
  topLogProbs: new Float32Array(rows * k),
  entropy: new Float32Array(rows),
  targetLogits: new Float32Array(rows * perRow),
  targetLogProbs: new Float32Array(rows * perRow),
  targetRanks: new Int32Array(rows * perRow),
})

/** @throws PatchbayError `input.invalid` for k or targets that do not fit */
export function checkReadout({ k, targets }: ReadoutOptions, rows: number, vocab: number): void {
  if (!Number.isInteger(k) || k < 0 || k > vocab) throw invalid(`${k} of ${vocab} tokens can not be listed`)
  if (targets === undefined) return
  if (targets.ids.length !== rows * targets.perRow)
    throw invalid(`${targets.ids.length} target tokens do not fit ${rows} rows of ${targets.perRow}`)
  const outside = targets.ids.find((id) => id < 0 || id >= vocab)
  if (outside !== undefined) throw invalid(`there is no token ${outside} in a vocabulary of ${vocab}`)
}

export const unequal = (p: Tensor, q: Tensor): PatchbayError =>
  invalid(`${p.shape[0]} rows can not be compared with ${q.shape[0]}`)

const invalid = (problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `Reading out is not possible: ${problem}.`, {
    next: 'Ask for what this model has.',
  })
