/**
 * The graph of several consecutive blocks. A session has its own threads, which sleep while others compute and are woken
 * by its first operator: fewer, longer graphs lose less time on that, most of all when one token is decoded.
 */
import { blockSites, type BlockSite } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import { biasKey } from '../layout'
import { blockNodes, pastInputs } from './block'
import { weightsIn, type AddWeight, type Lowering } from './context'
import { directSites } from './derived'
import { Hooks } from './hooks'

/** Names of the inputs that a block of a segment shares with others of its kind. */
export interface SharedNames {
  /** Of cos and sin, by the rotary embedding's index; null where the block does not rotate. */
  readonly rope: number | null
  readonly bias: string
}

export function sharedNames(spec: TransformerSpec, first: number, layer: number): SharedNames {
  const { attention } = spec.blocks[layer]
  const key = biasKey(attention)
  const same = spec.blocks.findIndex((block, i) => i >= first && biasKey(block.attention) === key)
  return { rope: attention.rope, bias: `bias_${same}` }
}

/**
 * Blocks `first` to `first + count − 1`, unchanged. Inputs: `resid` [batch·pos, d_model]; `cos_r`, `sin_r` for each rotary
 * embedding r in use and `bias_l` for each kind of bias; `past_key_l`, `past_value_l` for each block l. Outputs: `resid_out`,
 * the hook points that each block computes in any case and the residual stream behind it by full name, `present_key_l`,
 * `present_value_l`.
 */
export function segmentGraph(
  spec: TransformerSpec,
  first: number,
  count: number,
  addWeight: AddWeight,
  lowering: Lowering,
): Graph {
  const g = new GraphBuilder(`blocks_${first}_to_${first + count - 1}`)
  const weights = weightsIn(g, addWeight)
  const inputs = new Map<string, Value>()
  const input = (name: string, shape: readonly (string | number)[]): Value => {
    const value = inputs.get(name) ?? g.input(name, 'float32', shape)
    inputs.set(name, value)
    return value
  }
  let x = input('resid', ['batch*pos', spec.dModel])
  for (let layer = first; layer < first + count; layer++) {
    const { rope, bias } = sharedNames(spec, first, layer)
    const angles = (name: string): Value | null =>
      rope === null ? null : input(`${name}_${rope}`, ['batch', 'pos', spec.ropes[rope].dim / 2])
    const captures = new Set(directSites(spec, layer, Object.keys(blockSites) as BlockSite[]))
    const hooks = new Hooks<BlockSite>(g, { captures, ports: new Map() }, `blocks.${layer}.`)
    const shared = {
      cos: angles('cos'),
      sin: angles('sin'),
      bias: input(bias, ['?batch', '?head', 'pos', 'past+pos']),
    }
    const past = pastInputs(g, spec.blocks[layer], `_${layer}`)
    const result = blockNodes({ g, ...weights, hooks, lowering }, spec, layer, { ...shared, ...past }, x)
    g.output(result.presentKey, `present_key_${layer}`)
    g.output(result.presentValue, `present_value_${layer}`)
    x = result.resid
    if (layer < first + count - 1) g.output(x, `blocks.${layer}.hook_resid_post`)
  }
  g.output(x, 'resid_out')
  return g.finish()
}
