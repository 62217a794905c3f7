/** GGUF's `command-r`: Cohere's Command R; interleaved rotary pairs by nature, so nothing is permuted. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufCommandR: GgufFamily = {
  name: 'cohere',
  label: 'Cohere Command R',
  architectures: ['command-r'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'command-r', 'Command R')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim, true)
    const eps = settings.number('attention.layer_norm_epsilon')
    const logitScale = settings.number('logit_scale', 1)
    settings.refuseUnread()
    return decoder({
      family: 'cohere',
      names: { ...ggufNames, mlpNorm: null },
      ...sizes,
      norm: layerNormed(eps, false),
      headNorm: settings.has('blk.0.attn_q_norm.weight') ? 'each-head' : undefined,
      activation: 'silu',
      biases: ggufBiases(settings),
      topology: 'parallel',
      ropes: [rope],
      unembedding: { multiplier: logitScale },
    })
  },
}
