/** GGUF's `llama`: Llama, Mistral and, told by its experts, Mixtral. Query and key rows are stored permuted. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufMixtures, ggufRope, ggufSizes, unpermutedRows } from './sizes'

export const ggufLlama: GgufFamily = {
  name: 'llama',
  label: 'Llama, Mistral, Mixtral',
  also: ['mistral', 'mixtral'],
  architectures: ['llama'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'llama', 'Llama')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    const mixed = settings.number('expert_count', 0) > 0
    const mlp = mixed ? ggufMixtures(settings) : undefined
    settings.optional('expert_used_count')
    settings.refuseUnread()
    return decoder({
      family: mixed ? 'mixtral' : 'llama',
      names: ggufNames,
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
      arrange: unpermutedRows,
      mlp,
    })
  },
}
