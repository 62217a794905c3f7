/** A gated MLP: the usual MLP sublayer of newer families, and each expert of a mixture. */
import type { BlockSite } from '../../../preload/hooks'
import type { ClampedSwigluSpec, GatedMlpSpec } from '../../models/spec'
import type { Value } from '../../onnx/graph'
import type { Context } from './context'
import { activate, linear } from './linear'

/** x [tokens, d_model] → [tokens, d_model] */
export function gated(context: Context<BlockSite>, spec: GatedMlpSpec | ClampedSwigluSpec, x: Value): Value {
  const { g, hooks } = context
  const dims = ['batch', 'pos', spec.width]
  const gate = hooks.at('mlp.hook_pre', linear(context, spec.gate, x), dims)
  const up = hooks.at('mlp.hook_pre_linear', linear(context, spec.up, x), dims)
  const product =
    spec.kind === 'gated'
      ? g.op('Mul', [activate(g, spec.activation, gate), up], {})
      : clampedSwiglu(context, spec, gate, up)
  return linear(context, spec.output, hooks.at('mlp.hook_post', product, dims))
}

/** gpt-oss: gate at most `limit`, up within ±limit; gate · σ(alpha · gate) · (up + 1). */
function clampedSwiglu({ g }: Context<string>, spec: ClampedSwigluSpec, gate: Value, up: Value): Value {
  const { alpha, limit } = spec
  const low = g.op('Min', [gate, g.scalar(limit)], {})
  const within = g.op('Clip', [up, g.scalar(-limit), g.scalar(limit)], {})
  const sigmoid = g.op('Sigmoid', [g.op('Mul', [low, g.scalar(alpha)], {})], {})
  return g.op('Mul', [g.op('Mul', [low, sigmoid], {}), g.op('Add', [within, g.scalar(1)], {})], {})
}
