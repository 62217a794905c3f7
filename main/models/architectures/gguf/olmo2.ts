/** GGUF's `olmo2`: norms only after the sublayers, and on queries and keys over their whole width. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { rms } from '../norms'
import { ggufGemmaNames } from './gemma2'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufOlmo2: GgufFamily = {
  name: 'olmo2',
  label: 'OLMo 2',
  architectures: ['olmo2'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'olmo2', 'OLMo 2')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'olmo2',
      names: { ...ggufGemmaNames, attentionNorm: null, mlpNorm: null },
      ...sizes,
      norm: rms(eps),
      headNorm: 'width',
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
    })
  },
}
