/** GGUF's `smollm3`: query and key rows permuted; every fourth layer has no rotary embedding, which the file does not say. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes, unpermutedRows } from './sizes'

export const ggufSmollm3: GgufFamily = {
  name: 'smollm3',
  label: 'SmolLM3',
  architectures: ['smollm3'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'smollm3', 'SmolLM3')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    settings.refuseUnread()
    return decoder({
      family: 'smollm3',
      names: ggufNames,
      ...sizes,
      norm: rms(eps),
      activation: 'silu',
      biases: ggufBiases(settings),
      ropes: [rope],
      arrange: unpermutedRows,
      attention: (layer) => ({ rope: (layer + 1) % 4 === 0 ? null : 0 }),
    })
  },
}
