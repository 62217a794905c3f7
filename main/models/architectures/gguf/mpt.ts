/** GGUF's `mpt`: ALiBi up to the bias that the file says, clipped queries, keys and values where it says so. */
import { plainAlibi } from '../../alibi'
import { unsupported } from '../config'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufSizes } from './sizes'

export const ggufMpt: GgufFamily = {
  name: 'mpt',
  label: 'MPT',
  architectures: ['mpt'],
  read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'mpt', 'MPT')
    const sizes = ggufSizes(settings)
    const eps = settings.number('attention.layer_norm_epsilon')
    const maxBias = settings.number('attention.max_alibi_bias', 0)
    const clip = settings.optional('attention.clamp_kqv') ?? null
    settings.refuseUnread()
    for (const tensor of ['position_embd.weight', 'blk.0.attn_q_norm.weight', 'blk.0.ffn_act.scales'])
      if (settings.has(tensor))
        throw unsupported(settings.label, tensor, 'is an option that is not understood')
    return decoder({
      family: 'mpt',
      names: { ...ggufNames, qkv: 'attn_qkv', gate: null },
      ...sizes,
      norm: layerNormed(eps, settings.has('blk.0.attn_norm.bias')),
      activation: 'gelu',
      biases: ggufBiases(settings),
      ropes: [],
      attention: () => ({ alibi: maxBias > 0 ? plainAlibi(sizes.heads, maxBias) : null, clip }),
    })
  },
}
