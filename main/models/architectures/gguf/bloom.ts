/** GGUF's `bloom`: the rows of the fused projection are stacked, not interleaved as in Hugging Face's files. */
import { plainAlibi } from '../../alibi'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufSizes } from './sizes'

export const ggufBloom: GgufFamily = {
  name: 'bloom',
  label: 'BLOOM',
  architectures: ['bloom'],
  read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'bloom', 'BLOOM')
    const sizes = ggufSizes(settings)
    const norm = layerNormed(settings.number('attention.layer_norm_epsilon'))
    settings.refuseUnread()
    return decoder({
      family: 'bloom',
      names: { ...ggufNames, qkv: 'attn_qkv', gate: null },
      ...sizes,
      norm,
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      ropes: [],
      attention: () => ({ alibi: plainAlibi(sizes.heads) }),
      embedding: { norm: norm('token_embd_norm', sizes.hidden) },
    })
  },
}
