/** OLMo: Llama's shape with LayerNorm without weights, and queries, keys and values clipped by option. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { bareLayerNorm } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const olmo: Family = {
  name: 'olmo',
  label: 'OLMo',
  modelTypes: ['olmo'],
  read(config) {
    const c = readConfig(config, 'OLMo', {
      ...sizeKeys,
      max_position_embeddings: count.default(2048),
      hidden_act: activation.default('silu'),
      attention_bias: z.boolean().default(false),
      clip_qkv: positive.nullish(),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'olmo',
      names: llamaNames,
      ...sizes,
      norm: bareLayerNorm(1e-5),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'OLMo', headDim: sizes.headDim })],
      attention: () => ({ clip: c.clip_qkv ?? null }),
    })
  },
}
