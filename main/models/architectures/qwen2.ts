/** Qwen 2 and 2.5: Llama's shape with biases on q, k and v; a sliding window in the upper layers where it is switched on. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf, slidesBy, slidingKeys } from './sizes'

export const qwen2: Family = {
  name: 'qwen2',
  label: 'Qwen 2',
  modelTypes: ['qwen2'],
  read(config) {
    const c = readConfig(config, 'Qwen 2', {
      ...sizeKeys,
      ...slidingKeys,
      max_position_embeddings: count.default(32768),
      num_key_value_heads: count.nullable().default(32),
      sliding_window: count.nullable().default(4096),
      max_window_layers: z.number().int().nonnegative().default(28),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      use_mrope: z.literal(false).optional(),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    const window = c.use_sliding_window ? c.sliding_window : null
    const slides = slidesBy(c.layer_types, sizes.layers, 'Qwen 2', (layer) => layer >= c.max_window_layers)
    return decoder({
      family: 'qwen2',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: true },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Qwen 2', headDim: sizes.headDim })],
      attention: (layer) => ({ window: slides(layer) ? window : null }),
    })
  },
}
