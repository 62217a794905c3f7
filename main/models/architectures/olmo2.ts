/** OLMo 2: norms only after the sublayers, and on queries and keys over their whole width. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const olmo2: Family = {
  name: 'olmo2',
  label: 'OLMo 2',
  modelTypes: ['olmo2'],
  read(config) {
    const c = readConfig(config, 'OLMo 2', {
      ...sizeKeys,
      max_position_embeddings: count.default(2048),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-5),
      attention_bias: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'olmo2',
      names: {
        ...llamaNames,
        attentionNorm: null,
        attentionPostNorm: 'post_attention_layernorm',
        mlpNorm: null,
        mlpPostNorm: 'post_feedforward_layernorm',
      },
      ...sizes,
      norm: rms(c.rms_norm_eps),
      headNorm: 'width',
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'OLMo 2', headDim: sizes.headDim })],
    })
  },
}
