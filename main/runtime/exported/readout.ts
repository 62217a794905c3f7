/**
 * Next-token distributions of residual-stream rows of an exported graph: its own last part makes the logits, a bounded
 * number of rows at a time, and they are reduced here.
 */
import type { Tensor } from '../../../preload/tensor'
import { throwIfCancelled } from '../cancelled'
import { klDivergence, logSumExp } from '../distribution'
import {
  checkReadout,
  emptyReadout,
  rowsOf,
  unequal,
  type Readout,
  type ReadoutHead,
  type ReadoutOptions,
} from '../readout'
import type { Runnable } from '../runnable'

/** Logits held at once, in bytes. */
const BUDGET = 64 * 2 ** 20

export class ExportedReadout implements Pick<ReadoutHead, 'read' | 'divergence' | 'release'> {
  constructor(private readonly model: Pick<Runnable, 'dModel' | 'vocab' | 'unembed'>) {}

  async read(residuals: Tensor, options: ReadoutOptions): Promise<Readout> {
    const { vocab, dModel } = this.model
    const rows = rowsOf(residuals, dModel)
    checkReadout(options, rows, vocab)
    const result = emptyReadout(rows, options.k, options.targets?.perRow ?? 0)
    for await (const { row, logits } of this.logits(residuals, options.signal))
      reduce(result, row, logits, options)
    return result
  }

  async divergence(p: Tensor, q: Tensor, { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const rows = rowsOf(p, this.model.dModel)
    if (rowsOf(q, this.model.dModel) !== rows) throw unequal(p, q)
    const result = new Float32Array(rows)
    const others = this.logits(q, signal)
    for await (const { row, logits } of this.logits(p, signal)) {
      const other = await others.next()
      if (other.done !== true) result[row] = klDivergence(logits, other.value.logits)
    }
    return result
  }

  /** It has no sessions of its own. */
  async release(): Promise<void> {}

  /** The logits of each row, in order. */
  private async *logits(
    residuals: Tensor,
    signal?: AbortSignal,
  ): AsyncGenerator<{ row: number; logits: Float32Array }> {
    const { vocab, dModel } = this.model
    const rows = residuals.shape[0]
    const size = Math.max(1, Math.floor(BUDGET / (4 * vocab)))
    for (let start = 0; start < rows; start += size) {
      throwIfCancelled(signal)
      const end = Math.min(rows, start + size)
      const data = residuals.data.subarray(start * dModel, end * dModel)
      const logits = await this.model.unembed({ shape: [end - start, dModel], data }, signal)
      for (let row = start; row < end; row++)
        yield { row, logits: logits.data.subarray((row - start) * vocab, (row - start + 1) * vocab) }
    }
  }
}

function reduce(result: Readout, row: number, logits: Float32Array, { k, targets }: ReadoutOptions): void {
  const norm = logSumExp(logits)
  let entropy = 0
  for (const logit of logits) {
    const probability = Math.exp(logit - norm)
    if (probability > 0) entropy -= probability * (logit - norm)
  }
  result.entropy[row] = entropy
  largest(logits, k).forEach((id, i) => {
    result.topIds[row * k + i] = id
    result.topLogits[row * k + i] = logits[id]
    result.topLogProbs[row * k + i] = logits[id] - norm
  })
  const perRow = targets?.perRow ?? 0
  for (let i = row * perRow; i < (row + 1) * perRow; i++) {
    const logit = logits[targets?.ids[i] ?? 0]
    result.targetLogits[i] = logit
    result.targetLogProbs[i] = logit - norm
    result.targetRanks[i] = logits.reduce((rank, other) => rank + (other > logit ? 1 : 0), 0)
  }
}

/** Indices of the k largest, largest first, of equals the first. */
function largest(logits: Float32Array, k: number): number[] {
  if (k > 64)
    return Array.from(logits.keys())
      .sort((a, b) => logits[b] - logits[a] || a - b)
      .slice(0, k)
  const top: number[] = []
  logits.forEach((logit, id) => {
    if (k === 0 || (top.length === k && logit <= logits[top[k - 1]])) return
    let place = top.length
    while (place > 0 && logit > logits[top[place - 1]]) place--
    top.splice(place, 0, id)
    if (top.length > k) top.pop()
  })
  return top
}
