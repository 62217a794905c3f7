/**
 * The graphs of a wave: a block, and the logits of a few tokens, on rows that begin at different positions. Their tokens
 * lie one behind another without padding; only attention sees columns, and takes keys and values before a row's
 * beginning from the base run.
 */
import type { BlockSite, OuterSite } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Dim, Graph, Value } from '../../onnx/graph'
import type { TokenColumns } from '../graph/attention'
import { blockNodes } from '../graph/block'
import { weightsIn, type AddWeight, type Lowering } from '../graph/context'
import { beforeHead, chosenLogits } from '../graph/ends'
import { Hooks } from '../graph/hooks'
import { plainVariant } from '../graph/variant'

/** Puts the base run's keys and values before those of the wave's own tokens. */
class WaveHooks extends Hooks<BlockSite> {
  constructor(
    g: GraphBuilder,
    private readonly base: Readonly<Partial<Record<BlockSite, Value>>>,
  ) {
    super(g, plainVariant())
  }

  override at(site: BlockSite, value: Value, dims: readonly Dim[]): Value {
    const base = this.base[site]
    return base === undefined ? super.at(site, value, dims) : this.g.op('Concat', [base, value], { axis: 0 })
  }
}

/**
 * Block `layer`. Queries are of the last columns (pos of all keys), which every row has, or as many that are read. Inputs:
 * `resid` [tokens, d_model]; where the block rotates `cos`, `sin` [batch, keys, rotary/2] of keys and `query_cos`,
 * `query_sin` [batch, pos, rotary/2]; `bias` [1, 1|head, pos, keys]; the base run's `base_k`, `base_v` [keys,
 * kv_head·d_head] as at their hook points; `query_at` [batch, pos], the kept token of each query; `key_at` [batch, keys],
 * the token of each key with the base's tokens before the wave's; `column_of` [kept], the flat query of each token that is
 * given out. With `trims`, `kept` says which tokens those are: in the last block only the ones whose logits are read.
 * Output: `resid_out` [kept, d_model].
 */
export function waveBlockGraph(
  spec: TransformerSpec,
  layer: number,
  trims: boolean,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder(`wave_block_${layer}`)
  const { attention } = spec.blocks[layer]
  // The builders' name for tokens one behind another.
  const kept = 'batch*pos'
  const resid = g.input('resid', 'float32', [trims ? 'tokens' : kept, spec.dModel])
  const rope = attention.rope === null ? null : spec.ropes[attention.rope]
  const angles = (name: string, columns: Dim): Value | null =>
    rope === null ? null : g.input(name, 'float32', ['batch', columns, rope.dim / 2])
  const cos = angles('cos', 'keys')
  const sin = angles('sin', 'keys')
  const queryAngles = { cos: angles('query_cos', 'pos'), sin: angles('query_sin', 'pos') }
  const bias = g.input('bias', 'float32', ['?batch', '?head', 'pos', 'keys'])
  const width = attention.kvHeads * attention.headDim
  const baseOf = (name: string): Value => g.input(name, 'float32', ['base', width])
  const hooks = new WaveHooks(g, { 'attn.hook_k': baseOf('base_k'), 'attn.hook_v': baseOf('base_v') })
  const queryAt = g.input('query_at', 'int64', ['batch', 'pos'])
  const keyAt = g.input('key_at', 'int64', ['batch', 'keys'])
  const columnOf = g.input('column_of', 'int64', [kept])
  const keptAt = trims ? g.input('kept', 'int64', [kept]) : null
  const gather = (x: Value, at: Value): Value => g.op('Gather', [x, at], { axis: 0 })
  const columns: TokenColumns = {
    spread: (value, which) => gather(value, which === 'q' ? queryAt : keyAt),
    queryAngles,
    tokens: (z) => gather(z, columnOf),
    kept: (value) => (keptAt === null ? value : gather(value, keptAt)),
  }
  const context = { g, ...weightsIn(g, addWeight), hooks, lowering }
  const inputs = { cos, sin, bias, pastKey: null, pastValue: null, columns }
  g.output(blockNodes(context, spec, layer, inputs, resid).resid, 'resid_out')
  return g.finish()
}

/**
 * What follows the heads in block `layer`. Inputs: `resid` [tokens, d_model], the block's input; `z` [tokens, head·d_head].
 * Output: `resid_out` [tokens, d_model].
 */
export function waveTailGraph(
  spec: TransformerSpec,
  layer: number,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder(`wave_tail_${layer}`)
  const { heads, headDim } = spec.blocks[layer].attention
  const resid = g.input('resid', 'float32', ['batch*pos', spec.dModel])
  const z = g.input('z', 'float32', ['batch*pos', heads * headDim])
  const hooks = new Hooks<BlockSite>(g, plainVariant())
  const inputs = { cos: null, sin: null, bias: z, pastKey: null, pastValue: null, z }
  const context = { g, ...weightsIn(g, addWeight), hooks, lowering }
  g.output(blockNodes(context, spec, layer, inputs, resid).resid, 'resid_out')
  return g.finish()
}

/** Inputs: `resid` [rows, d_model], `tokens` [rows, t] int64. Output: `logits` [rows, t] of those tokens alone. */
export function waveHeadGraph(spec: TransformerSpec, addWeight: AddWeight, lowering: Lowering): Graph {
  const g = new GraphBuilder('wave_head')
  const hooks = new Hooks<OuterSite>(g, plainVariant())
  const context = { g, ...weightsIn(g, addWeight), hooks, lowering }
  const resid = g.input('resid', 'float32', ['rows', spec.dModel])
  const tokens = g.input('tokens', 'int64', ['rows', 't'])
  g.output(chosenLogits(context, spec, beforeHead(context, spec, resid), tokens), 'logits')
  return g.finish()
}
