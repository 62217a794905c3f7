/** GGUF's `starcoder`: GPTBigCode, with the rows of the fused projection stacked. */
import { weight } from '../../weights'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufSizes } from './sizes'

export const ggufStarcoder: GgufFamily = {
  name: 'gpt_bigcode',
  label: 'GPTBigCode (StarCoder)',
  architectures: ['starcoder'],
  read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'starcoder', 'StarCoder')
    const sizes = ggufSizes(settings)
    const eps = settings.number('attention.layer_norm_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'gpt_bigcode',
      names: { ...ggufNames, qkv: 'attn_qkv', gate: null },
      ...sizes,
      norm: layerNormed(eps),
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      ropes: [],
      embedding: {
        positions: { table: weight('position_embd.weight', sizes.contextLength, sizes.hidden), offset: 0 },
      },
    })
  },
}
