/** GGUF's `stablelm`: the norms of the single heads are stacked; a parallel block has no `ffn_norm`. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufStablelm: GgufFamily = {
  name: 'stablelm',
  label: 'StableLM',
  architectures: ['stablelm'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'stablelm', 'StableLM')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_epsilon')
    settings.boolean('use_parallel_residual')
    settings.refuseUnread()
    const parallel = !settings.has('blk.0.ffn_norm.weight')
    const norm = layerNormed(eps)
    const headNorm = layerNormed(eps, false)
    return decoder({
      family: 'stablelm',
      names: {
        ...ggufNames,
        mlpNorm: parallel ? null : ggufNames.mlpNorm,
      },
      ...sizes,
      norm: (prefix, ...shape) => (shape.length > 1 ? headNorm : norm)(prefix, ...shape),
      headNorm: settings.has('blk.0.attn_q_norm.weight') ? 'each-head' : undefined,
      activation: 'silu',
      biases: ggufBiases(settings),
      topology: parallel ? 'parallel' : 'sequential',
      ropes: [rope],
    })
  },
}
