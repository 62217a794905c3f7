/** Llama 1 to 3 and the many models published in its format. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const llama: Family = {
  name: 'llama',
  label: 'Llama',
  modelTypes: ['llama'],
  read(config) {
    const c = readConfig(config, 'Llama', {
      ...sizeKeys,
      max_position_embeddings: count.default(2048),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      attention_bias: z.boolean().default(false),
      mlp_bias: z.boolean().default(false),
      // SmolLM's files say that rotary pairs lie as in all Llamas
      rope_interleaved: z.literal(false).optional(),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'llama',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias, mlp: c.mlp_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Llama', headDim: sizes.headDim })],
    })
  },
}
