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
 * Inputs: `tokens` [batch, pos] int64, or `rows` [batch, pos, width], those tokens' rows of the table, where they are looked
 * up outside of the graph (`rowsGiven`); `positions` [batch, pos] int64 (rows of the position table) where positions are
 * learned. Outputs: `resid` [batch, pos, d_model], and the hook points before it by site.
 */
export function embeddingGraph(
  spec: TransformerSpec,
  variant: Variant<OuterSite>,
  addWeight: AddWeight,
  lowering: Lowering,
  rowsGiven = false,
): Graph {
  const g = new GraphBuilder('embedding')
  const context = {
    g,
    ...weightsIn(g, addWeight),
    hooks: new Hooks(g, { ...variant, captures: new Set(embeddingSites(spec)) }),
    lowering,
  } satisfies Context<OuterSite>
  const rows = rowsGiven
    ? g.input('rows', 'float32', ['batch', 'pos', spec.embedding.tokens.shape[1]])
    : rowsOf(context, spec.embedding.tokens, g.input('tokens', 'int64', ['batch', 'pos']))
  const positions = spec.embedding.positions === null ? null : g.input('positions', 'int64', ['batch', 'pos'])
  g.output(behindTable(context, spec, rows, positions), 'resid')
  return g.finish()
}

const embeddingSites = ({ embedding }: TransformerSpec): OuterSite[] =>
  embedding.positions === null ? ['hook_embed'] : ['hook_embed', 'hook_pos_embed']

/** tokens [batch, pos] → residual stream [batch, pos, d_model] at the input of block 0. */
export const embeddingNodes = (
  context: Context<OuterSite>,
  spec: TransformerSpec,
  tokens: Value,
  positions: Value | null,
): Value => behindTable(context, spec, rowsOf(context, spec.embedding.tokens, tokens), positions)

/** The same from the tokens' rows of the table [batch, pos, width]. */
function behindTable(
  context: Context<OuterSite>,
  spec: TransformerSpec,
  rows: Value,
  positions: Value | null,
): Value {
  const { g, hooks } = context
  const { embedding, dModel } = spec
  const dims = ['batch', 'pos', dModel]
  let x = rows
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
export const unembeddingNodes = (context: Context<OuterSite>, spec: TransformerSpec, x: Value): Value =>
  headNodes(context, spec, beforeHead(context, spec, x))

/** x [tokens, d_model] → what the head multiplies [tokens, width]: through the final norm and any projection. */
export function beforeHead(context: Context<OuterSite>, { unembedding }: TransformerSpec, x: Value): Value {
  const normed = norm(context, unembedding.norm, x, finalSites)
  return unembedding.projection === null ? normed : linear(context, unembedding.projection, normed)
}

/** What the head multiplies [tokens, width] → logits [tokens, d_vocab]. */
export const headNodes = (context: Context<OuterSite>, spec: TransformerSpec, h: Value): Value =>
  finished(context.g, spec, linear(context, spec.unembedding.head, h))

/** The logits of chosen tokens alone: h [rows, width], tokens [rows, t] int64 → [rows, t]. */
export function chosenLogits(
  context: Context<OuterSite>,
  spec: TransformerSpec,
  h: Value,
  tokens: Value,
): Value {
  const { g, weight } = context
  const { head } = spec.unembedding
  const [rows, count] = tokens.shape
  // Rows of an [in, out] matrix would be columns.
  const columns =
    head.layout === 'out-in'
      ? rowsOf(context, head.weight, tokens)
      : g.op('Gather', [g.op('Transpose', [weight(head.weight)], { perm: [1, 0] }), tokens], { axis: 0 })
  const product = g.op('MatMul', [columns, g.reshape(h, [rows, head.inputs, 1])], {})
  const dotted = g.reshape(product, [rows, count])
  const logits =
    head.bias === null
      ? dotted
      : g.op('Add', [dotted, g.op('Gather', [weight(head.bias), tokens], { axis: 0 })], {})
  return finished(g, spec, logits)
}

/** Multiplier and soft-cap. */
function finished(g: GraphBuilder, { unembedding }: TransformerSpec, raw: Value): Value {
  const logits = multiplied(g, raw, unembedding.multiplier)
  const cap = unembedding.softcap
  return cap === null ? logits : multiplied(g, g.op('Tanh', [multiplied(g, logits, 1 / cap)], {}), cap)
}

const finalSites = { scale: 'ln_final.hook_scale', normalized: 'ln_final.hook_normalized' } as const
