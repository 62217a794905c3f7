/** GGUF's `granite`: Granite's multipliers under other names; logits are divided by `logit_scale`. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes, unpermutedRows } from './sizes'

export const ggufGranite: GgufFamily = {
  name: 'granite',
  label: 'Granite',
  architectures: ['granite'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'granite', 'Granite')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    const scale = settings.number('attention.scale', 1 / Math.sqrt(sizes.headDim))
    const embedding = settings.number('embedding_scale', 1)
    const residual = settings.number('residual_scale', 1)
    const logits = settings.number('logit_scale', 1)
    settings.refuseUnread()
    return decoder({
      family: 'granite',
      names: ggufNames,
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
      arrange: unpermutedRows,
      attention: () => ({ scale }),
      residualMultiplier: residual,
      embedding: { multiplier: embedding },
      unembedding: { multiplier: 1 / logits },
    })
  },
}
