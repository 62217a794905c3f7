/** Gemma: norms around one, embeddings times √d_model, gated GELU. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rmsAroundOne } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

/** Keys that the three generations share. */
export const gemmaKeys = {
  ...sizeKeys,
  max_position_embeddings: count.default(8192),
  num_key_value_heads: count.nullish(),
  head_dim: count.default(256),
  rms_norm_eps: positive.default(1e-6),
  attention_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  use_bidirectional_attention: z.literal(false).nullish(),
}

/** Names of the norms around the sublayers, from the second generation on. */
export const gemmaNames = {
  ...llamaNames,
  attentionPostNorm: 'post_attention_layernorm',
  mlpNorm: 'pre_feedforward_layernorm',
  mlpPostNorm: 'post_feedforward_layernorm',
}

export const gemma: Family = {
  name: 'gemma',
  label: 'Gemma',
  modelTypes: ['gemma'],
  read(config) {
    const c = readConfig(config, 'Gemma', {
      ...gemmaKeys,
      // "gelu" in early files means the tanh form, as transformers 5 says
      hidden_act: z
        .string()
        .default('gelu_pytorch_tanh')
        .transform((name) => (name === 'gelu' ? 'gelu_pytorch_tanh' : name))
        .pipe(activation),
      // written by transformers, read by nobody
      hidden_activation: z.string().nullish(),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'gemma',
      names: llamaNames,
      ...sizes,
      norm: rmsAroundOne(c.rms_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Gemma', headDim: sizes.headDim })],
      embedding: { multiplier: Math.sqrt(sizes.hidden) },
    })
  },
}
