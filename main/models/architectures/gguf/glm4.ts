/** GGUF's `glm4`: gate rows, then up rows, in `ffn_up`; interleaved rotary pairs by nature, so nothing is permuted. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { rms } from '../norms'
import { ggufGemmaNames } from './gemma2'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufGlm4: GgufFamily = {
  name: 'glm4',
  label: 'GLM-4',
  architectures: ['glm4'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'glm4', 'GLM-4')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim, true)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'glm4',
      names: { ...ggufGemmaNames, gateUp: 'ffn_up' },
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
    })
  },
}
