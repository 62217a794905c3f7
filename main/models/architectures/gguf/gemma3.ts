/** GGUF's `gemma3`: sliding layers have a rotary base of their own; five slide to one that does not, or as a key says. */
import type { RopeSpec } from '../../rope'
import { unsupported } from '../config'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { rms } from '../norms'
import { gemmaScale, ggufGemmaNames } from './gemma2'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufGemma3: GgufFamily = {
  name: 'gemma3',
  label: 'Gemma 3',
  architectures: ['gemma3'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'gemma3', 'Gemma 3')
    const sizes = ggufSizes(settings)
    const global = {
      ...(await ggufRope(settings, sizes.headDim)),
      base: settings.number('rope.freq_base', 1e6),
    }
    const local: RopeSpec = {
      ...global,
      base: settings.number('rope.freq_base_swa', 10000),
      scaling: { kind: 'default' },
    }
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    const window = settings.optional('attention.sliding_window') ?? null
    const finalSoftcap = settings.optional('final_logit_softcapping') ?? null
    const slides = slidingLayers(settings, sizes.layers)
    settings.refuseUnread()
    return decoder({
      family: 'gemma3',
      names: ggufGemmaNames,
      ...sizes,
      norm: rms(eps),
      headNorm: 'head',
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      ropes: [global, local],
      attention: (layer) => ({
        scale: gemmaScale(sizes, 62),
        rope: slides(layer) ? 1 : 0,
        window: slides(layer) ? window : null,
      }),
      embedding: { multiplier: Math.sqrt(sizes.hidden) },
      unembedding: { softcap: finalSoftcap },
    })
  },
}

/** By `attention.sliding_window_pattern`: one value a layer, or how many layers make a group whose last is global. */
function slidingLayers(settings: GgufSettings, layers: number): (layer: number) => boolean {
  const key = 'attention.sliding_window_pattern'
  const each = settings.booleans(key)
  if (each !== undefined) {
    if (each.length !== layers)
      throw unsupported(settings.label, `gemma3.${key}`, `has ${each.length} entries for ${layers} layers`)
    return (layer) => each[layer]
  }
  const group = settings.number(key, 6)
  return (layer) => layer % group < group - 1
}
