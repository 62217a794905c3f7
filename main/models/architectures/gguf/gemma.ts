/** GGUF's `gemma`: the norms' 1 is already added; the embedding's √d_model is not. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufGemma: GgufFamily = {
  name: 'gemma',
  label: 'Gemma',
  architectures: ['gemma'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'gemma', 'Gemma')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'gemma',
      names: ggufNames,
      ...sizes,
      norm: rms(eps),
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      ropes: [rope],
      embedding: { multiplier: Math.sqrt(sizes.hidden) },
    })
  },
}
