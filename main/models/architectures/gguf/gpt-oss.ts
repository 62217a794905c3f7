/** GGUF's `gpt-oss`: here `post_attention_norm` is the norm before the MLP; gate and up are apart, matrices [out, in]. */
import { weight } from '../../weights'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { checkExperts, stackedLinear } from '../mixture'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { linear } from '../parts'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufGptOss: GgufFamily = {
  name: 'gpt_oss',
  label: 'gpt-oss',
  architectures: ['gpt-oss'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'gpt-oss', 'gpt-oss')
    const sizes = ggufSizes(settings)
    const { hidden } = sizes
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    const window = settings.number('attention.sliding_window', 128)
    const count = settings.number('expert_count')
    const topK = settings.number('expert_used_count')
    const width = settings.number('expert_feed_forward_length', sizes.intermediate)
    settings.refuseUnread()
    checkExperts(settings.label, count, topK)
    return decoder({
      family: 'gpt_oss',
      names: { ...ggufNames, mlpNorm: 'post_attention_norm' },
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      // the model was trained with an unrounded correction range
      ropes: [
        rope.scaling.kind === 'yarn' ? { ...rope, scaling: { ...rope.scaling, truncate: false } } : rope,
      ],
      attention: (layer, prefix) => ({
        window: layer % 2 === 0 ? window : null,
        sinks: weight(`${prefix}attn_sinks.weight`, sizes.heads),
      }),
      mlp: (_, prefix) => ({
        kind: 'mixture',
        width,
        router: linear(`${prefix}ffn_gate_inp`, hidden, count, true),
        experts: Array.from({ length: count }, (_, expert) => ({
          kind: 'clamped-swiglu',
          width,
          gate: stackedLinear(`${prefix}ffn_gate_exps`, count, expert, hidden, width, true),
          up: stackedLinear(`${prefix}ffn_up_exps`, count, expert, hidden, width, true),
          output: stackedLinear(`${prefix}ffn_down_exps`, count, expert, width, hidden, true),
          alpha: 1.702,
          limit: 7,
        })),
        topK,
        weighting: 'topk-first',
        normalise: false,
      }),
    })
  },
}
