/**
 * Hook points that are cheap to compute from others: scores and pattern from queries and keys, the insides of a norm from
 * its input, the heads' results from z. Capturing them needs no block of its own, only one of these small graphs, which
 * most layers share.
 */
import type { BlockSite } from '../../../preload/hooks'
import { hasHook } from '../../models/hook-points'
import type { AttentionSpec, NormSpec, TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph } from '../../onnx/graph'
import { headResults } from './attention'
import { weightsIn, type AddWeight, type Lowering } from './context'
import { Hooks } from './hooks'
import { norm } from './norm'
import { scoresAndPattern } from './scores'

/** From what a hook point is derived. */
export type Derivation =
  | { readonly kind: 'scores'; readonly query: BlockSite }
  | { readonly kind: 'norm'; readonly norm: NormSpec; readonly input: 'resid' | BlockSite }
  | { readonly kind: 'result' }

/** Sites that a block computes only where they are wanted; all others are values that it has anyway. */
const extra: ReadonlySet<BlockSite> = new Set<BlockSite>([
  'hook_resid_pre',
  'hook_resid_post',
  'ln1.hook_scale',
  'ln1.hook_normalized',
  'ln2.hook_scale',
  'ln2.hook_normalized',
  'attn.hook_attn_scores',
  'attn.hook_pattern',
  'attn.hook_result',
  'mlp.hook_expert_outputs',
])

/** Hook points that every graph of the block gives out: values that it computes in any case. */
export const directSites = (spec: TransformerSpec, layer: number, sites: readonly BlockSite[]): BlockSite[] =>
  sites.filter((site) => !extra.has(site) && hasHook(spec, { layer, site }))

/** How a hook point of an unchanged block is derived, or null where the block's own graph must give it out. */
export function derivationOf(spec: TransformerSpec, layer: number, site: BlockSite): Derivation | null {
  const block = spec.blocks[layer]
  const { topology, attention } = block
  switch (site) {
    case 'attn.hook_attn_scores':
    case 'attn.hook_pattern':
      if (spec.ropes.length > 0) return { kind: 'scores', query: 'attn.hook_rot_q' }
      return attention.qNorm === null ? { kind: 'scores', query: 'attn.hook_q' } : null
    case 'attn.hook_result':
      return { kind: 'result' }
    case 'ln1.hook_scale':
    case 'ln1.hook_normalized':
      if (block.attentionNorm === null || topology === 'post-norm') return null
      return { kind: 'norm', norm: block.attentionNorm, input: 'resid' }
    case 'ln2.hook_scale':
    case 'ln2.hook_normalized':
      if (block.mlpNorm === null || topology === 'post-norm') return null
      return {
        kind: 'norm',
        norm: block.mlpNorm,
        input: topology === 'parallel' ? 'resid' : 'hook_resid_mid',
      }
    default:
      return null
  }
}

/**
 * Inputs: `query` [batch, pos, head·d_head], `key` [batch, kv_head, past + pos, d_head], `bias`. Outputs: scores
 * or pattern or both, by site, [batch, head, pos, past + pos].
 */
export function scoresGraph(
  spec: AttentionSpec,
  captures: ReadonlySet<BlockSite>,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder('scores')
  const hooks = new Hooks<BlockSite>(g, { captures, ports: new Map() })
  const query = g.input('query', 'float32', ['batch', 'pos', spec.heads * spec.headDim])
  const key = g.input('key', 'float32', ['batch', spec.kvHeads, 'past+pos', spec.headDim])
  const bias = g.input('bias', 'float32', ['?batch', '?head', 'pos', 'past+pos'])
  scoresAndPattern({ g, hooks, lowering, ...weightsIn(g, addWeight) }, spec, query, key, bias)
  return g.finish()
}

/** Input: `x` [batch·pos, width]. Outputs: `scale` [batch·pos, 1] and `normalized` [batch·pos, width]. */
export function normGraph(spec: NormSpec, width: number, lowering: Lowering): Graph {
  const g = new GraphBuilder('norm')
  const hooks = new Hooks<NormPart>(g, { captures: new Set(['scale', 'normalized']), ports: new Map() })
  const context = { g, hooks, lowering, ...weightsIn(g, () => g.scalar(1)) }
  const x = g.input('x', 'float32', ['batch*pos', width])
  norm(context, { ...spec, weight: null, bias: null }, x, { scale: 'scale', normalized: 'normalized' })
  return g.finish()
}
export type NormPart = 'scale' | 'normalized'

/** Input: `z` [batch·pos, head·d_head]. Output: `result` [batch·pos, head, d_model]. */
export function resultGraph(spec: AttentionSpec, addWeight: AddWeight): Graph {
  const g = new GraphBuilder('result')
  const z = g.input('z', 'float32', ['batch*pos', spec.heads * spec.headDim])
  g.output(headResults(g, weightsIn(g, addWeight).weight, spec, z), 'result')
  return g.finish()
}
