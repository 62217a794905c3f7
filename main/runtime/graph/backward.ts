/** The vector-Jacobian products of blocks and of the embedding, each a graph that recomputes its forward inside. */
import type { BlockSite, OuterSite } from '../../../preload/hooks'
import { hasHook } from '../../models/hook-points'
import type { TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import { blockNodes } from './block'
import { weightsIn, type AddWeight, type Lowering } from './context'
import { embeddingNodes } from './ends'
import { differentiated, gradientAt, gradientKey, remembering, type GradientVariant } from './gradient'
import { Taps } from './taps'
import { graphSites } from './variant'

export interface BlockGradients extends GradientVariant<BlockSite> {
  /** Whether the metric depends on the block's output. */
  readonly output: boolean
  /** Whether the forward pass kept the values of `keptSites`, so that no product with a matrix is computed again. */
  readonly given: boolean
}

export const blockGradientKey = (variant: BlockGradients): string =>
  `${gradientKey(variant)}|${variant.output}|${variant.given}`

/** Hook points behind products with matrices: what lies between them is soon computed again. */
export const keptSites = (spec: TransformerSpec, layer: number): BlockSite[] =>
  (
    [
      'attn.hook_q',
      'attn.hook_k',
      'attn.hook_v',
      'hook_resid_mid',
      'mlp.hook_pre',
      'mlp.hook_pre_linear',
    ] as const
  ).filter((site) => hasHook(spec, { layer, site }))

/** Sites whose gradients cost something; all others lie on the way back, and every graph gives them out. */
const extra: ReadonlySet<BlockSite> = new Set<BlockSite>([
  'ln1.hook_scale',
  'ln1.hook_normalized',
  'ln2.hook_scale',
  'ln2.hook_normalized',
  'attn.hook_result',
  'mlp.hook_expert_outputs',
])

/** Those of `sites` that a graph must be made for. */
export const extraGradients = (sites: readonly BlockSite[]): Set<BlockSite> =>
  new Set(sites.filter((site) => extra.has(site)))

/**
 * Inputs: `resid` [batch, pos, d_model], `cos`, `sin`, `bias` and ports as the block's graph has them, without earlier
 * positions; `cotangent` [batch·pos, d_model] of the block's output, `cotangent/SITE` where the metric reads a hook point,
 * `value/SITE` where values are given. Outputs: `gradient/resid` [batch·pos, d_model], `gradient/SITE` and `gradient of WEIGHT`.
 */
export function blockBackwardGraph(
  spec: TransformerSpec,
  layer: number,
  variant: BlockGradients,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder(`backward_${layer}`)
  const usual = graphSites.filter((site) => !extra.has(site) && hasHook(spec, { layer, site }))
  const taps = new Taps<BlockSite>(
    g,
    variant.ports,
    [...usual, ...variant.gradients, ...variant.cotangents],
    new Set(variant.given ? keptSites(spec, layer) : []),
  )
  const weights = remembering(addWeight)
  // Scores and pattern are needed on the way back: written out they are computed once.
  const written = { ...lowering, fusedAttention: false }
  const context = { g, ...weightsIn(g, weights.add), hooks: taps, lowering: written }
  const { attention } = spec.blocks[layer]
  const resid = g.input('resid', 'float32', ['batch', 'pos', spec.dModel])
  const x = g.reshape(resid, ['batch*pos', spec.dModel])
  const rope = attention.rope === null ? null : spec.ropes[attention.rope]
  const angles = (name: string): Value | null =>
    rope === null ? null : g.input(name, 'float32', ['batch', 'pos', rope.dim / 2])
  const inputs = {
    cos: angles('cos'),
    sin: angles('sin'),
    bias: g.input('bias', 'float32', ['?batch', '?head', 'pos', 'pos']),
    pastKey: null,
    pastValue: null,
  }
  const { resid: output } = blockNodes(context, spec, layer, inputs, x)
  const cotangents = new Map<Value, Value>()
  if (variant.output) cotangents.set(output, g.input('cotangent', 'float32', ['batch*pos', spec.dModel]))
  return differentiated(g, variant, taps, weights.values, cotangents, new Map([[gradientAt('resid'), x]]))
}

/**
 * Inputs: `tokens`, `positions` and ports as the embedding's graph has them, `cotangent` [batch, pos, d_model] of the
 * residual stream. Outputs: `gradient of WEIGHT`.
 */
export function embeddingBackwardGraph(
  spec: TransformerSpec,
  variant: GradientVariant<OuterSite>,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder('embedding_backward')
  const taps = new Taps<OuterSite>(g, variant.ports, variant.cotangents)
  const weights = remembering(addWeight)
  const context = { g, ...weightsIn(g, weights.add), hooks: taps, lowering }
  const tokens = g.input('tokens', 'int64', ['batch', 'pos'])
  const positions = spec.embedding.positions === null ? null : g.input('positions', 'int64', ['batch', 'pos'])
  const resid = embeddingNodes(context, spec, tokens, positions)
  const cotangent = g.input('cotangent', 'float32', ['batch', 'pos', spec.dModel])
  return differentiated(g, variant, taps, weights.values, new Map([[resid, cotangent]]), new Map())
}
