/**
 * The end of a differentiated model: final norm, unembedding and a metric of its logits, forward and back in one graph, at
 * the few positions that the metric reads. Each row of its inputs is one such position.
 */
import type { OuterSite } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import { weightsIn, type AddWeight, type Context, type Lowering } from './context'
import { beforeHead, chosenLogits, headNodes } from './ends'
import { differentiated, gradientAt, gradientKey, remembering, type GradientVariant } from './gradient'
import { softmaxParts, sumOfRow } from './softmax'
import { Taps } from './taps'

/**
 * How a metric follows from the logits y of a position, with x = y − max y, p = softmax y and a weight w for each position:
 * - chosen: Σ_t coefficient_t · y[token_t]; only these logits are computed.
 * - likelihood: w · log p[token].
 * - target-model: w · KL(t ‖ p). model-target: w · KL(p ‖ t).
 * - none: the logits do not matter; a hook point of the final norm is read.
 */
export type HeadKind = 'chosen' | 'likelihood' | 'target-model' | 'model-target' | 'none'

export interface HeadGradients extends GradientVariant<OuterSite> {
  readonly kind: HeadKind
}

export const headGradientKey = (variant: HeadGradients): string => `${variant.kind}|${gradientKey(variant)}`

/** Outputs of each kind that its value is computed from, beside the gradients. */
export const valueOutputs: Record<HeadKind, readonly string[]> = {
  chosen: ['logits'],
  likelihood: ['logits', 'max', 'peak'],
  'target-model': ['weighted', 'peak'],
  'model-target': ['weighted', 'peak'],
  none: [],
}

/**
 * Inputs: `resid` [batch, pos, d_model], with rows = batch·pos; `tokens` [rows, t] int64 and `coefficients` [rows, t] for
 * chosen logits and likelihoods (there t = 1, and the coefficient is w); `target` [rows, d_vocab] (t, or log t for
 * model-target) and `weight` [rows, 1]; ports; `cotangent/SITE`. Outputs: `logits` [rows, t] of the tokens; `max` [rows, 1];
 * `peak` [rows, 1] = max p = 1 / Σ exp x; `weighted` [rows, 1] = Σ t x, or Σ p (x − log t); `gradient/resid`
 * [rows, d_model]; `gradient/SITE`, `gradient of WEIGHT`.
 */
export function headBackwardGraph(
  spec: TransformerSpec,
  variant: HeadGradients,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder('metric')
  const taps = new Taps<OuterSite>(g, variant.ports, [...variant.gradients, ...variant.cotangents])
  const weights = remembering(addWeight)
  const context = { g, ...weightsIn(g, weights.add), hooks: taps, lowering }
  const resid = g.input('resid', 'float32', ['batch', 'pos', spec.dModel])
  const x = g.reshape(resid, ['batch*pos', spec.dModel])
  const cotangents = readLogits(context, spec, variant.kind, beforeHead(context, spec, x))
  return differentiated(g, variant, taps, weights.values, cotangents, new Map([[gradientAt('resid'), x]]))
}

/** The metric's own nodes. Returns the cotangents of the logits that it reads, which are simple enough to be written down. */
function readLogits(
  context: Context<OuterSite>,
  spec: TransformerSpec,
  kind: HeadKind,
  h: Value,
): Map<Value, Value> {
  const { g } = context
  const chosen = (): { logits: Value; coefficients: Value } => {
    const tokens = g.input('tokens', 'int64', ['batch*pos', 't'])
    const coefficients = g.input('coefficients', 'float32', ['batch*pos', 't'])
    return { logits: chosenLogits(context, spec, h, tokens), coefficients }
  }
  const times = (a: Value, b: Value): Value => g.op('Mul', [a, b], {})
  const minus = (a: Value, b: Value): Value => g.op('Sub', [a, b], {})
  switch (kind) {
    case 'none':
      return new Map()
    case 'chosen': {
      const { logits, coefficients } = chosen()
      g.output(logits, 'logits')
      return new Map([[logits, coefficients]])
    }
    case 'likelihood': {
      const { logits, coefficients } = chosen()
      g.output(logits, 'logits')
      const all = headNodes(context, spec, h)
      const { max, p, peak } = softmaxParts(g, all)
      g.output(max, 'max')
      g.output(peak, 'peak')
      // log p[token] = y[token] − log Σ exp y
      const weight = sumOfRow(g, coefficients, 1)
      return new Map([
        [logits, coefficients],
        [all, g.op('Neg', [times(p, weight)], {})],
      ])
    }
    default: {
      const target = g.input('target', 'float32', ['batch*pos', spec.vocab])
      const weight = g.input('weight', 'float32', ['batch*pos', 1])
      const all = headNodes(context, spec, h)
      const { shifted, p, peak } = softmaxParts(g, all)
      g.output(peak, 'peak')
      if (kind === 'target-model') {
        g.output(sumOfRow(g, times(target, shifted), 1), 'weighted')
        return new Map([[all, times(minus(p, target), weight)]])
      }
      const ratio = minus(shifted, target)
      const weighted = sumOfRow(g, times(p, ratio), 1)
      g.output(weighted, 'weighted')
      return new Map([[all, times(times(p, minus(ratio, weighted)), weight)]])
    }
  }
}
