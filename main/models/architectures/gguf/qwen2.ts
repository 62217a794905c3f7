/** GGUF's `qwen2`: rows in Hugging Face's order, biases on q, k and v. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufQwen2: GgufFamily = {
  name: 'qwen2',
  label: 'Qwen 2',
  architectures: ['qwen2'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'qwen2', 'Qwen 2')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'qwen2',
      names: ggufNames,
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
    })
  },
}
