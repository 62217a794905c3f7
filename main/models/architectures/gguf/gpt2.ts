/** GGUF's `gpt2`: the converter has already transposed the Conv1D matrices to [out, in]. */
import { weight } from '../../weights'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufSizes } from './sizes'

export const ggufGpt2: GgufFamily = {
  name: 'gpt2',
  label: 'GPT-2',
  architectures: ['gpt2'],
  read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'gpt2', 'GPT-2')
    const sizes = ggufSizes(settings)
    const eps = settings.number('attention.layer_norm_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'gpt2',
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
