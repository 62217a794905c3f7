/** Mistral: Llama's shape, with a sliding window in every layer where one is set. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const mistral: Family = {
  name: 'mistral',
  label: 'Mistral',
  modelTypes: ['mistral'],
  read(config) {
    const c = readConfig(config, 'Mistral', {
      ...sizeKeys,
      max_position_embeddings: count.default(131072),
      num_key_value_heads: count.nullable().default(8),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      sliding_window: count.nullable().default(4096),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'mistral',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Mistral', headDim: sizes.headDim })],
      attention: () => ({ window: c.sliding_window }),
    })
  },
}
