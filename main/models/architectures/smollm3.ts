/** SmolLM3: Llama's shape; some layers, usually every fourth, have no rotary embedding. */
import { z } from 'zod'
import { activation, count, positive, readConfig, unsupported } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf, slidesBy, slidingKeys } from './sizes'

export const smollm3: Family = {
  name: 'smollm3',
  label: 'SmolLM3',
  modelTypes: ['smollm3'],
  read(config) {
    const c = readConfig(config, 'SmolLM3', {
      ...sizeKeys,
      ...slidingKeys,
      max_position_embeddings: count.default(32768),
      num_key_value_heads: count.nullable().default(4),
      // unused by transformers: `layer_types` says which layers slide
      max_window_layers: z.number().int().nonnegative().optional(),
      // in spite of the name, 1 means that the layer has one
      no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
      no_rope_layer_interval: count.default(4),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      attention_bias: z.boolean().default(false),
      mlp_bias: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(true),
    })
    const sizes = sizesOf(c)
    const given = c.no_rope_layers
    if (given && given.length !== sizes.layers)
      throw unsupported('SmolLM3', 'no_rope_layers', `has ${given.length} entries for ${sizes.layers} layers`)
    const rotates = (layer: number): boolean =>
      given ? given[layer] === 1 : (layer + 1) % c.no_rope_layer_interval !== 0
    const window = c.use_sliding_window ? (c.sliding_window ?? null) : null
    const slides = slidesBy(c.layer_types, sizes.layers, 'SmolLM3', (layer) => !rotates(layer))
    return decoder({
      family: 'smollm3',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias, mlp: c.mlp_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'SmolLM3', headDim: sizes.headDim, theta: 2e6 })],
      attention: (layer) => ({
        rope: rotates(layer) ? 0 : null,
        window: slides(layer) ? window : null,
      }),
    })
  },
}
