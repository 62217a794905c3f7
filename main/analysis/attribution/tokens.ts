/** Which tokens of a prompt a metric comes from: gradient × input, and integrated gradients (Sundararajan et al. 2017). */
import type { AttributionMetric, TokenAttribution, TokenBaseline } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { runRequest } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import type { Evidence } from '../../../preload/views'
import { throwIfCancelled } from '../../runtime/cancelled'
import { capture, requireBlocks } from '../captures'
import type { AnalysisModel, RunOptions } from '../subject'
import { gradientsOf } from './gradients'
import { meanEmbedding } from './mean-embedding'
import { logitsFor, metricOf, placed, type PlacedMetric } from './metric'

export interface TokensRequest {
  tokens: readonly number[]
  metric: AttributionMetric
  method: TokenAttribution['method']
  baseline: TokenBaseline
  steps: number
}

/** Elements of the residual streams of one batch of steps. */
const BATCH_ELEMENTS = 2 ** 21

/**
 * Attribution of each token: Σ over d of its embedding's share; see `tokenAttribution` in the contract for the formulas.
 * @param batchElements bound on the residual streams of the steps that run together
 * @throws PatchbayError `input.invalid` for a metric that does not fit or a baseline prompt of another length
 */
export async function tokenAttribution(
  model: AnalysisModel,
  request: TokensRequest,
  options: RunOptions = {},
  batchElements = BATCH_ELEMENTS,
): Promise<TokenAttribution> {
  const { tokens, baseline, steps } = request
  requireBlocks(model)
  const metric = placed(model, request.metric, tokens)
  if (request.method === 'gradient-input') return gradientInput(model, tokens, metric, options)
  if (baseline.kind === 'prompt' && baseline.tokens.length !== tokens.length)
    throw new PatchbayError(
      'input.invalid',
      `The baseline prompt has ${baseline.tokens.length} tokens, but the prompt has ${tokens.length}.`,
      { next: 'Give a baseline prompt of as many tokens.', field: 'baseline' },
    )
  const { signal } = options
  const { activations } = await capture(model, tokens, ['hook_embed', RESIDUAL], { signal })
  const [embedding, residual] = activations
  const from = await baselineEmbedding(model, baseline, { signal })
  const difference = embedding.data.map((x, i) => x - from[i % from.length])
  // Positions enter by addition, so the residual stream at block 0 moves as the embedding does.
  const at = (alphas: readonly number[]): Tensor => {
    const size = difference.length
    const data = new Float32Array(alphas.length * size)
    alphas.forEach((alpha, row) => {
      for (let i = 0; i < size; i++) data[row * size + i] = residual.data[i] - (1 - alpha) * difference[i]
    })
    return { shape: [alphas.length, ...residual.shape], data }
  }
  const alphas = Array.from({ length: steps }, (_, k) => (k + 0.5) / steps)
  const rows = Math.max(1, Math.floor(batchElements / difference.length))
  const sum = new Float64Array(difference.length)
  let evidence: Evidence | null = null
  for (let start = 0; start < steps; start += rows) {
    throwIfCancelled(signal)
    const batch = alphas.slice(start, start + rows)
    const run = await gradientsOf(
      model,
      { rows: batch.map(() => [...tokens]), metric, hooks: [RESIDUAL], residual: at(batch) },
      { signal, transient: true },
    )
    evidence ??= run.evidence
    const { data } = run.gradient(RESIDUAL)
    for (let i = 0; i < data.length; i++) sum[i % sum.length] += data[i]
    options.onProgress?.(Math.min(start + rows, steps), steps)
  }
  if (evidence === null) throw new PatchbayError('internal', 'No step was taken.')
  const parts = Float32Array.from(difference, (x, i) => (x * sum[i]) / steps)
  const [atInput, atBaseline] = await metricsAt(model, tokens, metric, at([1, 0]), { signal })
  const scored = byToken(parts, tokens.length)
  const total = scored.scores.reduce((all, x) => all + x, 0)
  return {
    evidence,
    method: 'integrated-gradients',
    steps,
    ...scored,
    metric: atInput,
    baselineMetric: atBaseline,
    gap: total - (atInput - atBaseline),
  }
}

const RESIDUAL = 'blocks.0.hook_resid_pre'

async function gradientInput(
  model: AnalysisModel,
  tokens: readonly number[],
  metric: PlacedMetric,
  options: RunOptions,
): Promise<TokenAttribution> {
  const hooks = ['hook_embed']
  const run = await gradientsOf(model, { rows: [[...tokens]], metric, hooks, captures: hooks }, options)
  const embedding = run.activation('hook_embed').data
  const gradient = run.gradient('hook_embed').data
  return {
    evidence: run.evidence,
    method: 'gradient-input',
    steps: 1,
    ...byToken(
      embedding.map((x, i) => x * gradient[i]),
      tokens.length,
    ),
    metric: run.metrics[0],
    baselineMetric: null,
    gap: null,
  }
}

/** hook_embed of the baseline: [pos, d_model] flattened, or [d_model] for every position. */
async function baselineEmbedding(
  model: AnalysisModel,
  baseline: TokenBaseline,
  options: RunOptions,
): Promise<Float32Array> {
  switch (baseline.kind) {
    case 'zero':
      return new Float32Array(1)
    case 'mean':
      return meanEmbedding(model, options)
    case 'prompt': {
      const { activations } = await capture(model, baseline.tokens, ['hook_embed'], options)
      return activations[0].data
    }
  }
}

/** Sums and norms over d of [pos, d_model]. */
function byToken(parts: Float32Array, positions: number): { scores: Float32Array; norms: Float32Array } {
  const width = parts.length / positions
  const scores = new Float32Array(positions)
  const norms = new Float32Array(positions)
  for (let position = 0; position < positions; position++) {
    let sum = 0
    let square = 0
    for (const x of parts.subarray(position * width, (position + 1) * width)) {
      sum += x
      square += x * x
    }
    scores[position] = sum
    norms[position] = Math.sqrt(square)
  }
  return { scores, norms }
}

/** The metric of a prompt from residual streams at block 0, one a row. */
async function metricsAt(
  model: AnalysisModel,
  tokens: readonly number[],
  metric: PlacedMetric,
  residual: Tensor,
  options: RunOptions,
): Promise<number[]> {
  const count = residual.shape[0]
  const request = runRequest.parse({
    model: model.facts.fingerprint,
    rows: Array.from({ length: count }, () => tokens),
    start: { layer: 0, residual: 'residual' },
    logits: logitsFor([metric]),
  })
  const { logits } = await model.run({ request, tensors: { residual } }, options)
  return Array.from({ length: count }, (_, row) => metricOf(logits, row, metric))
}
