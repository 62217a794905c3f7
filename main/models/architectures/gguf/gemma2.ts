/** GGUF's `gemma2`: norms with their 1 added, soft-caps, every other layer slides, from the first on. */
import { decoder, type Names } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

/** Names of the norms around the sublayers, from the second generation on. */
export const ggufGemmaNames: Names = {
  ...ggufNames,
  attentionPostNorm: 'post_attention_norm',
  mlpPostNorm: 'post_ffw_norm',
}

/**
 * GGUF does not hold `query_pre_attn_scalar`. It is the head's size in all published models but the 27B ones, where it is
 * d_model / heads; those are known by their number of layers, as in llama.cpp.
 */
export const gemmaScale = (
  sizes: { layers: number; hidden: number; heads: number; headDim: number },
  layersOf27b: number,
): number => 1 / Math.sqrt(sizes.layers === layersOf27b ? sizes.hidden / sizes.heads : sizes.headDim)

export const ggufGemma2: GgufFamily = {
  name: 'gemma2',
  label: 'Gemma 2',
  architectures: ['gemma2'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'gemma2', 'Gemma 2')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_rms_epsilon')
    const window = settings.number('attention.sliding_window', 4096)
    const softcap = settings.number('attn_logit_softcapping', 50)
    const finalSoftcap = settings.number('final_logit_softcapping', 30)
    settings.refuseUnread()
    return decoder({
      family: 'gemma2',
      names: ggufGemmaNames,
      ...sizes,
      norm: rms(eps),
      activation: 'gelu_tanh',
      biases: ggufBiases(settings),
      ropes: [rope],
      attention: (layer) => ({
        scale: gemmaScale(sizes, 46),
        softcap,
        window: layer % 2 === 0 ? window : null,
      }),
      embedding: { multiplier: Math.sqrt(sizes.hidden) },
      unembedding: { softcap: finalSoftcap },
    })
  },
}
