/** Cohere's Command R: attention and MLP in parallel after one norm without bias, interleaved rotary pairs, scaled logits. */
import { z } from 'zod'
import { activation, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { layerNormed } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const cohere: Family = {
  name: 'cohere',
  label: 'Cohere Command R',
  modelTypes: ['cohere'],
  read(config) {
    const c = readConfig(config, 'Cohere', {
      ...sizeKeys,
      max_position_embeddings: sizeKeys.max_position_embeddings.default(8192),
      model_max_length: sizeKeys.max_position_embeddings.nullish(),
      hidden_act: activation.default('silu'),
      layer_norm_eps: positive.default(1e-5),
      attention_bias: z.boolean().default(false),
      use_qk_norm: z.boolean().default(false),
      logit_scale: z.number().nullable().default(0.0625),
      tie_word_embeddings: z.boolean().default(true),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'cohere',
      names: { ...llamaNames, mlpNorm: null },
      ...sizes,
      norm: layerNormed(c.layer_norm_eps, false),
      headNorm: c.use_qk_norm ? 'each-head' : undefined,
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      topology: 'parallel',
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Cohere', headDim: sizes.headDim, interleaved: true })],
      unembedding: { multiplier: c.logit_scale ?? 1 },
    })
  },
}
