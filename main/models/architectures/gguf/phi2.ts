/** GGUF's `phi2`: attention and MLP in parallel after one norm, a head with a bias. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufPhi2: GgufFamily = {
  name: 'phi',
  label: 'Phi-2',
  architectures: ['phi2'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'phi2', 'Phi-2')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'phi',
      names: {
        ...ggufNames,
        qkv: settings.has('blk.0.attn_qkv.weight') ? 'attn_qkv' : null,
        mlpNorm: null,
        gate: null,
      },
      ...sizes,
      norm: layerNormed(eps),
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      topology: 'parallel',
      ropes: [rope],
    })
  },
}
