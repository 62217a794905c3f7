/** What a backward pass computes: its metric, the gradients that are wanted, and the blocks that it goes through. */
import { PatchbayError } from '../../../preload/errors'
import { hookDims, hookName, type HookPoint } from '../../../preload/hooks'
import { metricsOf, type Backward } from '../../../preload/metric'
import type { Tensor } from '../../../preload/tensor'
import { hookPointsOf, hookSizes, resolveHook } from '../../models/hook-points'
import type { TransformerSpec } from '../../models/spec'
import { checkRange, type Range } from '../range'
import { invalid } from './faults'
import { planMetric, type MetricModel, type MetricPlan } from './metric'
import { WeightGradients } from './weights'

export interface BackwardPlan {
  readonly metric: MetricPlan
  /** Hook points whose gradients are wanted, by canonical name. */
  readonly hooks: ReadonlyMap<string, HookPoint>
  readonly weights: WeightGradients
  /** The last block that is gone through, the number of blocks for the final residual stream, −1 for none. */
  readonly top: number
  /** The first block that is gone through; above `top` where none is. */
  readonly lowest: number
  /** Whether the embedding's weights are wanted. */
  readonly embedding: boolean
}

export interface PlanInput {
  readonly backward: Backward
  /** Token ids, one list a row. */
  readonly rows: readonly (readonly number[])[]
  readonly tensors: Readonly<Record<string, Tensor>>
  /** What the forward pass computes. */
  readonly range: Range
  readonly quantised: boolean
}

/**
 * @throws PatchbayError `input.invalid` naming the field, `hook.unknown` with the nearest names, `hook.unavailable` for what
 *   this run does not compute or what its metric does not depend on
 */
export function planBackward(spec: TransformerSpec, input: PlanInput): BackwardPlan {
  const { backward, rows, tensors, range, quantised } = input
  const metric = planMetric(metricModel(spec), metricsOf(backward, rows.length), rows, tensors)
  const points = backward.hooks.map((name) => resolveHook(spec, name))
  const hooks = new Map(points.map((point) => [hookName(point), point]))
  const at = metric.kind === 'projection' ? resolveHook(spec, metric.hook.name) : null
  checkRange(range, [...hooks.keys(), ...(at === null ? [] : [hookName(at)])])
  if (at === null && range.stop < range.blocks)
    throw invalid('The metric reads logits, but the run stops before them', 'Leave stopLayer out.')
  if (at !== null) requireBefore(spec, at, points)

  const weights = new WeightGradients(spec, backward.weights, quantised)
  const top = at === null ? spec.blocks.length : topOf(spec, at)
  const embedding = weights.of(spec.embedding).size > 0 && range.embeds
  const layers = spec.blocks.map((_, layer) => layer).filter((layer) => layer >= range.first && layer <= top)
  const first = embedding
    ? 0
    : layers.find(
        (layer) =>
          weights.of(spec.blocks[layer]).size > 0 || points.some((point) => lowestFor(point, spec) === layer),
      )
  const outer = points.some(({ site }) => site === 'hook_embed' || site === 'hook_pos_embed')
  return { metric, hooks, weights, top, embedding, lowest: outer ? 0 : (first ?? top + 1) }
}

const metricModel = (spec: TransformerSpec): MetricModel => ({
  vocab: spec.vocab,
  hook: (name) => {
    const point = resolveHook(spec, name)
    return { name: hookName(point), dims: hookDims(point), sizes: hookSizes(spec, point) }
  },
})

/** The block whose backward pass a projection begins in; one above a block's input. */
function topOf(spec: TransformerSpec, { layer, site }: HookPoint): number {
  if (layer === null) return site.startsWith('ln_final') ? spec.blocks.length : -1
  if (site === 'hook_resid_post') return layer
  return site === 'hook_resid_pre' ? layer - 1 : layer
}

/** The lowest block that must be gone through for a gradient. */
function lowestFor({ layer, site }: HookPoint, spec: TransformerSpec): number {
  if (layer === null) return site.startsWith('ln_final') ? spec.blocks.length : 0
  return site === 'hook_resid_post' ? layer + 1 : layer
}

/** Only what is computed before the hook point that the metric reads can have changed it. */
function requireBefore(spec: TransformerSpec, at: HookPoint, points: readonly HookPoint[]): void {
  const order = hookPointsOf(spec).map(hookName)
  const limit = order.indexOf(hookName(at))
  for (const point of points) {
    const name = hookName(point)
    if (order.indexOf(name) > limit)
      throw new PatchbayError(
        'hook.unavailable',
        `The metric reads ${hookName(at)}, which does not depend on ${name}.`,
        {
          next: 'Ask for gradients at hook points before the metric’s, or leave this one out.',
          field: name,
        },
      )
  }
}
