/** GGUF's `phi3`: fused projections, LongRoPE's factors as tensors, and a window that is to be honoured. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufPhi3: GgufFamily = {
  name: 'phi3',
  label: 'Phi-3',
  architectures: ['phi3'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'phi3', 'Phi-3')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    const window = settings.number('attention.sliding_window', 0)
    settings.refuseUnread()
    return decoder({
      family: 'phi3',
      names: { ...ggufNames, qkv: 'attn_qkv', gateUp: 'ffn_up' },
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
      attention: () => ({ window: window > 0 ? window : null }),
    })
  },
}
