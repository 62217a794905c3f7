/** GGUF's `starcoder2`. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufStarcoder2: GgufFamily = {
  name: 'starcoder2',
  label: 'StarCoder 2',
  architectures: ['starcoder2'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'starcoder2', 'StarCoder 2')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'starcoder2',
      names: { ...ggufNames, gate: null },
      ...sizes,
      norm: layerNormed(eps),
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      ropes: [rope],
    })
  },
}
