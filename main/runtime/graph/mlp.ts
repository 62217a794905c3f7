/** The MLP sublayer. Values are [tokens, …]. */
import type { BlockSite } from '../../../preload/hooks'
import type { MlpSpec, PlainMlpSpec } from '../../models/spec'
import type { Value } from '../../onnx/graph'
import type { Context } from './context'
import { gated } from './gated'
import { activate, linear } from './linear'
import { mixture } from './mixture'

/** x [tokens, d_model] → [tokens, d_model], with the hook points of `mlp.`. */
export function mlp(context: Context<BlockSite>, spec: MlpSpec, x: Value): Value {
  switch (spec.kind) {
    case 'plain':
      return plain(context, spec, x)
    case 'gated':
    case 'clamped-swiglu':
      return gated(context, spec, x)
    case 'mixture':
      return mixture(context, spec, x)
  }
}

function plain(context: Context<BlockSite>, spec: PlainMlpSpec, x: Value): Value {
  const { g, hooks } = context
  const dims = ['batch', 'pos', spec.width]
  const pre = hooks.at('mlp.hook_pre', linear(context, spec.input, x), dims)
  const post = hooks.at('mlp.hook_post', activate(g, spec.activation, pre), dims)
  return linear(context, spec.output, post)
}
