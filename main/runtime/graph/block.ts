/** The graph of one block: residual stream in, residual stream out, with a variant's captures and ports. */
import { blockSites, type BlockSite } from '../../../preload/hooks'
import type { BlockSpec, NormSpec, TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import { attention, type AttentionInputs } from './attention'
import { weightsIn, type AddWeight, type Context, type Lowering } from './context'
import { directSites } from './derived'
import { Hooks } from './hooks'
import { multiplied } from './linear'
import { mlp } from './mlp'
import { norm } from './norm'
import type { Variant } from './variant'

/**
 * Inputs: `resid` [batch·pos, d_model], `cos` and `sin` [batch, pos, rotary/2] where the block rotates, `bias`
 * [1|batch, 1|head, pos, past + pos], `past_key` and `past_value` [batch, kv_head, past, d_head], and the variant's ports.
 * Outputs: `resid_out` [batch·pos, d_model], `present_key`, `present_value`, and by site the hook points that the block
 * computes in any case and the variant's captures.
 */
export function blockGraph(
  spec: TransformerSpec,
  layer: number,
  variant: Variant<BlockSite>,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder(`block_${layer}`)
  const direct = directSites(spec, layer, Object.keys(blockSites) as BlockSite[])
  const context = {
    g,
    ...weightsIn(g, addWeight),
    hooks: new Hooks(g, { ...variant, captures: new Set([...direct, ...variant.captures]) }),
    lowering,
  } satisfies Context<BlockSite>
  const block = spec.blocks[layer]
  const resid = g.input('resid', 'float32', ['batch*pos', spec.dModel])
  const rope = block.attention.rope === null ? null : spec.ropes[block.attention.rope]
  const angles = (name: string): Value | null =>
    rope === null ? null : g.input(name, 'float32', ['batch', 'pos', rope.dim / 2])
  const inputs: AttentionInputs = {
    cos: angles('cos'),
    sin: angles('sin'),
    bias: g.input('bias', 'float32', ['?batch', '?head', 'pos', 'past+pos']),
    ...pastInputs(g, block),
  }
  const result = blockNodes(context, spec, layer, inputs, resid)
  g.output(result.resid, 'resid_out')
  g.output(result.presentKey, 'present_key')
  g.output(result.presentValue, 'present_value')
  return g.finish()
}

/** This block's keys and values of earlier positions. */
export function pastInputs(
  g: GraphBuilder,
  block: BlockSpec,
  suffix = '',
): { pastKey: Value; pastValue: Value } {
  const past = ['batch', block.attention.kvHeads, 'past', block.attention.headDim]
  return {
    pastKey: g.input(`past_key${suffix}`, 'float32', past),
    pastValue: g.input(`past_value${suffix}`, 'float32', past),
  }
}

/** The nodes of block `layer` on the residual stream [tokens, d_model], in a graph that may hold more than this block. */
export function blockNodes(
  context: Context<BlockSite>,
  spec: TransformerSpec,
  layer: number,
  inputs: AttentionInputs,
  whole: Value,
): { resid: Value; presentKey: Value; presentValue: Value } {
  const { g, hooks } = context
  const block = spec.blocks[layer]
  const dims = ['batch', 'pos', spec.dModel]
  const rope = block.attention.rope === null ? null : spec.ropes[block.attention.rope]
  const ln1 = (value: Value): Value => norm(context, block.attentionNorm, value, ln1Sites)
  const ln2 = (value: Value): Value => norm(context, block.mlpNorm, value, ln2Sites)
  const sublayer = (value: Value, post: NormSpec | null, site: BlockSite): Value =>
    hooks.at(site, multiplied(g, norm(context, post, value), block.residualMultiplier), dims)
  const add = (a: Value, b: Value): Value => g.op('Add', [a, b], {})

  const normedInput = block.topology === 'post-norm' ? whole : ln1(whole)
  const attended = attention(context, block.attention, rope, inputs, normedInput)
  const kept = (value: Value): Value => inputs.columns?.kept(value) ?? value
  const x = kept(whole)
  const attentionInput = normedInput === whole ? x : kept(normedInput)
  const { presentKey, presentValue } = attended
  const attnOut = sublayer(attended.output, block.attentionPostNorm, 'hook_attn_out')
  const mlpOut = (input: Value): Value =>
    sublayer(mlp(context, block.mlp, input), block.mlpPostNorm, 'hook_mlp_out')
  const mid = (value: Value): Value => hooks.at('hook_resid_mid', value, dims)

  switch (block.topology) {
    case 'sequential': {
      const between = mid(add(x, attnOut))
      return { resid: add(between, mlpOut(ln2(between))), presentKey, presentValue }
    }
    case 'parallel': {
      const input = block.mlpNorm === null ? attentionInput : ln2(x)
      return { resid: add(add(x, attnOut), mlpOut(input)), presentKey, presentValue }
    }
    case 'normed-residual': {
      const normed = ln2(mid(add(attentionInput, attnOut)))
      return { resid: add(normed, mlpOut(normed)), presentKey, presentValue }
    }
    case 'post-norm': {
      const between = mid(ln1(add(x, attnOut)))
      return { resid: ln2(add(between, mlpOut(between))), presentKey, presentValue }
    }
  }
}

const ln1Sites = { scale: 'ln1.hook_scale', normalized: 'ln1.hook_normalized' } as const
const ln2Sites = { scale: 'ln2.hook_scale', normalized: 'ln2.hook_normalized' } as const
