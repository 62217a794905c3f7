/** The graphs before the first and after the last block: embedding and unembedding. */
import type { OuterSite } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import { weightsIn, type AddWeight, type Context, type Lowering } from './context'
import { Hooks } from './hooks'
import { linear, multiplied, rowsOf } from './linear'
import { norm } from './norm'
import type { Variant } from './variant'

/**
 * Inputs: `tokens` [batch, pos] int64; `positions` [batch, pos] int64 (rows of the position table) where positions are
 * learned. Outputs: `resid` [batch, pos, d_model], and the hook points before it by site.
 */
export function embeddingGraph(
  spec: TransformerSpec,
  variant: Variant<OuterSite>,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder('embedding')
  const context = {
    g,
    ...weightsIn(g, addWeight),
    hooks: new Hooks(g, { ...variant, captures: new Set(embeddingSites(spec)) }),
    lowering,
  } satisfies Context<OuterSite>
  const tokens = g.input('tokens', 'int64', ['batch', 'pos'])
  const positions = spec.embedding.positions === null ? null : g.input('positions', 'int64', ['batch', 'pos'])
  g.output(embeddingNodes(context, spec, tokens, positions), 'resid')
  return g.finish()
}

const embeddingSites = ({ embedding }: TransformerSpec): OuterSite[] =>
  embedding.positions === null ? ['hook_embed'] : ['hook_embed', 'hook_pos_embed']

/** tokens [batch, pos] → residual stream [batch, pos, d_model] at the input of block 0. */
export function embeddingNodes(
  context: Context<OuterSite>,
  spec: TransformerSpec,
  tokens: Value,
  positions: Value | null,
): Value {
  const { g, hooks } = context
  const { embedding, dModel } = spec
  const dims = ['batch', 'pos', dModel]
  let x = rowsOf(context, embedding.tokens, tokens)
  if (embedding.projection !== null) {
    const flat = g.reshape(x, ['batch*pos', embedding.projection.inputs])
    x = g.reshape(linear(context, embedding.projection, flat), dims)
  }
  x = norm(context, embedding.norm, multiplied(g, x, embedding.multiplier))
  x = hooks.at('hook_embed', x, dims)
  if (embedding.positions === null || positions === null) return x
  const table = rowsOf(context, embedding.positions.table, positions)
  return g.op('Add', [x, hooks.at('hook_pos_embed', table, dims)], {})
}

/**
 * Input: `resid` [batch, pos, d_model]. Output: `logits` [batch·pos, d_vocab], and the variant's captures.
 */
export function unembeddingGraph(
  spec: TransformerSpec,
  variant: Variant<OuterSite>,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder('unembedding')
  const context = {
    g,
    ...weightsIn(g, addWeight),
    hooks: new Hooks(g, variant),
    lowering,
  } satisfies Context<OuterSite>
  const resid = g.input('resid', 'float32', ['batch', 'pos', spec.dModel])
  g.output(unembeddingNodes(context, spec, g.reshape(resid, ['batch*pos', spec.dModel])), 'logits')
  return g.finish()
}

/** x [tokens, d_model] → logits [tokens, d_vocab]. */
export function unembeddingNodes(context: Context<OuterSite>, spec: TransformerSpec, x: Value): Value {
  const { g } = context
  const { unembedding } = spec
  const normed = norm(context, unembedding.norm, x, finalSites)
  const projected = unembedding.projection === null ? normed : linear(context, unembedding.projection, normed)
  const logits = multiplied(g, linear(context, unembedding.head, projected), unembedding.multiplier)
  const cap = unembedding.softcap
  return cap === null ? logits : multiplied(g, g.op('Tanh', [multiplied(g, logits, 1 / cap)], {}), cap)
}

const finalSites = { scale: 'ln_final.hook_scale', normalized: 'ln_final.hook_normalized' } as const
