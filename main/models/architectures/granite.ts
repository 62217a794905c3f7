/** Granite 3: Llama's shape with multipliers on embeddings, scores, residual branches and logits. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const granite: Family = {
  name: 'granite',
  label: 'Granite',
  modelTypes: ['granite'],
  read(config) {
    const c = readConfig(config, 'Granite', {
      ...sizeKeys,
      max_position_embeddings: count.default(2048),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      attention_bias: z.boolean().default(false),
      mlp_bias: z.boolean().default(false),
      embedding_multiplier: z.number().default(1),
      attention_multiplier: z.number().default(1),
      residual_multiplier: z.number().default(1),
      logits_scaling: positive.default(1),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'granite',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias, mlp: c.mlp_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Granite', headDim: sizes.headDim })],
      attention: () => ({ scale: c.attention_multiplier }),
      residualMultiplier: c.residual_multiplier,
      embedding: { multiplier: c.embedding_multiplier },
      unembedding: { multiplier: 1 / c.logits_scaling },
    })
  },
}
