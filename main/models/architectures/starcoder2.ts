/** StarCoder 2: LayerNorm and biases, rotary positions, grouped queries, a plain MLP; a window in every layer where one is set. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { layerNormed } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const starcoder2: Family = {
  name: 'starcoder2',
  label: 'StarCoder 2',
  modelTypes: ['starcoder2'],
  read(config) {
    const c = readConfig(config, 'StarCoder 2', {
      ...sizeKeys,
      max_position_embeddings: count.default(4096),
      num_key_value_heads: count.nullable().default(2),
      hidden_act: activation.default('gelu_tanh'),
      norm_epsilon: positive.default(1e-5),
      // published files name the norm and the MLP although there is only one of each
      norm_type: z.literal('layer_norm').optional(),
      mlp_type: z.literal('default').optional(),
      layer_norm_epsilon: positive.optional(),
      use_bias: z.boolean().default(true),
      sliding_window: count.nullish(),
      tie_word_embeddings: z.boolean().default(true),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'starcoder2',
      names: { ...llamaNames, gate: null, up: 'mlp.c_fc', down: 'mlp.c_proj' },
      ...sizes,
      norm: layerNormed(c.norm_epsilon),
      activation: c.hidden_act,
      biases: { qkv: c.use_bias, output: c.use_bias, mlp: c.use_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'StarCoder 2', headDim: sizes.headDim })],
      attention: () => ({ window: c.sliding_window ?? null }),
    })
  },
}
