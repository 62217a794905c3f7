/**
 * Metrics: one number for each row of a run, which a backward pass differentiates. A batch's metric is the sum over its
 * rows, so a row's gradient is that of its own number.
 */
import { z } from 'zod'

const index = z.number().int().nonnegative()
const tokenId = index.max(2 ** 31 - 1)
/** Names a tensor of the request. */
const tensorName = z.string().min(1).max(200)

/** A position of the row; `last` is its last token. Logits at a position are those of the token behind it. */
const position = z.union([z.literal('last'), index])

/**
 * - logit-difference: mean logit of `positive` − mean logit of `negative` (0 where that is empty), as the model gives them
 *   out (after its multiplier and soft-cap).
 * - log-probability: log p(token) behind `position`, in nats.
 * - continuation: Σ over t ≥ from of log p(row[t] | row[<t]), in nats.
 * - cross-entropy: the mean over t ≥ from of −log p(row[t] | row[<t]), in nats.
 * - kl: between the model's distribution m behind `position` and a given one t, in nats. `target-model` is
 *   KL(t ‖ m) = Σ t log(t/m), `model-target` KL(m ‖ t). `target` is a tensor of probabilities [d_vocab], or [rows, d_vocab].
 * - projection: Σ over positions of x·d at a hook point, after what is changed there. `direction` is a tensor that
 *   broadcasts to the axes behind the positions ([d_model]; [head, d_head] at z) or to [positions, …].
 */
export const metric = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('logit-difference'),
    positive: z.array(tokenId).min(1).max(1000),
    negative: z.array(tokenId).max(1000).default([]),
    position: position.default('last'),
  }),
  z.object({ kind: z.literal('log-probability'), token: tokenId, position: position.default('last') }),
  z.object({ kind: z.literal('continuation'), from: index.min(1) }),
  z.object({ kind: z.literal('cross-entropy'), from: index.min(1).default(1) }),
  z.object({
    kind: z.literal('kl'),
    target: tensorName,
    position: position.default('last'),
    direction: z.enum(['target-model', 'model-target']).default('target-model'),
  }),
  z.object({
    kind: z.literal('projection'),
    hook: z.string().max(1000),
    direction: tensorName,
    positions: z.union([z.enum(['all', 'last']), z.array(index).min(1)]).default('all'),
  }),
])
export type Metric = z.infer<typeof metric>
export type MetricInput = z.input<typeof metric>

const hookList = z.array(z.string().max(1000)).max(100_000)

/** What of a run is differentiated, and by what. */
export const backward = z.object({
  /** One metric for all rows, or one for each, all of one kind. */
  metric: z.union([metric, z.array(metric).min(1).max(4096)]),
  /**
   * Hook points whose gradients are wanted: of the value that the rest of the model uses, after what is changed there. The
   * run's interventions are part of what is differentiated.
   */
  hooks: hookList.default([]),
  /** Parameters whose gradients are wanted, by their names in the checkpoint: summed over the batch. */
  weights: z.array(z.string().min(1).max(1000)).max(100_000).default([]),
})
export type Backward = z.infer<typeof backward>
export type BackwardInput = z.input<typeof backward>

/** The metric of each row. */
export const metricsOf = ({ metric: one }: Backward, rows: number): Metric[] =>
  Array.isArray(one) ? one : Array<Metric>(rows).fill(one)

/** Tensors that a metric names. */
export function tensorsOfMetric(one: Metric): string[] {
  if (one.kind === 'kl') return [one.target]
  return one.kind === 'projection' ? [one.direction] : []
}
