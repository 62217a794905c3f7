/** GGUF's `falcon`: with two norms a block, `attn_norm_2` is the one before attention and `attn_norm` the MLP's. */
import { unsupported } from '../config'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufFalcon: GgufFamily = {
  name: 'falcon',
  label: 'Falcon',
  architectures: ['falcon'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'falcon', 'Falcon')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_epsilon')
    settings.refuseUnread()
    if (settings.has('blk.0.ffn_norm.weight'))
      throw unsupported(
        'Falcon GGUF',
        'blk.0.ffn_norm.weight',
        'belongs to the ALiBi models, which GGUF does not describe',
      )
    const twoNorms = settings.has('blk.0.attn_norm_2.weight')
    return decoder({
      family: 'falcon',
      names: {
        ...ggufNames,
        attentionNorm: twoNorms ? 'attn_norm_2' : 'attn_norm',
        qkv: 'attn_qkv',
        mlpNorm: twoNorms ? 'attn_norm' : null,
        gate: null,
      },
      ...sizes,
      norm: layerNormed(eps),
      activation: 'gelu',
      biases: ggufBiases(settings),
      topology: 'parallel',
      ropes: [rope],
    })
  },
}
