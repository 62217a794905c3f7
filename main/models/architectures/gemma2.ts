/** Gemma 2: norms before and after each sublayer, soft-caps, every other layer slides. */
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { gemmaKeys, gemmaNames } from './gemma'
import { rmsAroundOne } from './norms'
import { readRope } from './rope-config'
import { sizesOf, slidesBy, slidingKeys } from './sizes'

export const gemma2: Family = {
  name: 'gemma2',
  label: 'Gemma 2',
  modelTypes: ['gemma2'],
  read(config) {
    const c = readConfig(config, 'Gemma 2', {
      ...gemmaKeys,
      hidden_activation: activation.default('gelu_tanh'),
      // the same setting under its older name
      hidden_act: activation.optional(),
      query_pre_attn_scalar: positive.default(256),
      sliding_window: count.nullable().default(4096),
      // of early files, beside `sliding_window`
      sliding_window_size: count.optional(),
      layer_types: slidingKeys.layer_types,
      final_logit_softcapping: positive.nullable().default(30),
      attn_logit_softcapping: positive.nullable().default(50),
    })
    const sizes = sizesOf(c)
    const slides = slidesBy(c.layer_types, sizes.layers, 'Gemma 2', (layer) => layer % 2 === 0)
    return decoder({
      family: 'gemma2',
      names: gemmaNames,
      ...sizes,
      norm: rmsAroundOne(c.rms_norm_eps),
      activation: c.hidden_activation,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Gemma 2', headDim: sizes.headDim })],
      attention: (layer) => ({
        scale: 1 / Math.sqrt(c.query_pre_attn_scalar),
        softcap: c.attn_logit_softcapping,
        window: slides(layer) ? c.sliding_window : null,
      }),
      embedding: { multiplier: Math.sqrt(sizes.hidden) },
      unembedding: { softcap: c.final_logit_softcapping },
    })
  },
}
