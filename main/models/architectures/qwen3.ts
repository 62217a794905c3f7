/** Qwen 3: Llama's shape with norms of each head's queries and keys; upper layers slide where it is switched on. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf, slidesBy, slidingKeys } from './sizes'

export const qwen3: Family = {
  name: 'qwen3',
  label: 'Qwen 3',
  modelTypes: ['qwen3'],
  read(config) {
    const c = readConfig(config, 'Qwen 3', {
      ...sizeKeys,
      ...slidingKeys,
      max_position_embeddings: count.default(32768),
      num_key_value_heads: count.nullable().default(32),
      head_dim: count.nullable().default(128),
      sliding_window: count.nullable().default(4096),
      max_window_layers: z.number().int().nonnegative().default(28),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      attention_bias: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    const window = c.use_sliding_window ? c.sliding_window : null
    const slides = slidesBy(c.layer_types, sizes.layers, 'Qwen 3', (layer) => layer >= c.max_window_layers)
    return decoder({
      family: 'qwen3',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      headNorm: 'head',
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Qwen 3', headDim: sizes.headDim })],
      attention: (layer) => ({ window: slides(layer) ? window : null }),
    })
  },
}
