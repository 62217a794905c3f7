/** GGUF's `olmo`: norms without weights, hence without tensors. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { bareLayerNorm } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes, unpermutedRows } from './sizes'

export const ggufOlmo: GgufFamily = {
  name: 'olmo',
  label: 'OLMo',
  architectures: ['olmo'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'olmo', 'OLMo')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_epsilon')
    const clip = settings.optional('attention.clamp_kqv') ?? null
    settings.refuseUnread()
    return decoder({
      family: 'olmo',
      names: ggufNames,
      ...sizes,
      norm: bareLayerNorm(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
      arrange: unpermutedRows,
      attention: () => ({ clip }),
    })
  },
}
