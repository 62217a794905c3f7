/** StableLM: LayerNorm, rotary on part of each head, a gated MLP; parallel residual and norms of each head by option. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { layerNormed } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const stablelm: Family = {
  name: 'stablelm',
  label: 'StableLM',
  modelTypes: ['stablelm'],
  read(config) {
    const c = readConfig(config, 'StableLM', {
      ...sizeKeys,
      head_dim: z.null().optional(),
      max_position_embeddings: count.default(4096),
      num_key_value_heads: count.nullable().default(32),
      hidden_act: activation.default('silu'),
      layer_norm_eps: positive.default(1e-5),
      partial_rotary_factor: positive.max(1).default(0.25),
      use_qkv_bias: z.boolean().default(false),
      qk_layernorm: z.boolean().default(false),
      use_parallel_residual: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'stablelm',
      names: {
        ...llamaNames,
        qNorm: 'self_attn.q_layernorm',
        kNorm: 'self_attn.k_layernorm',
        mlpNorm: c.use_parallel_residual ? null : llamaNames.mlpNorm,
      },
      ...sizes,
      norm: layerNormed(c.layer_norm_eps),
      headNorm: c.qk_layernorm ? 'heads-apart' : undefined,
      activation: c.hidden_act,
      biases: { qkv: c.use_qkv_bias },
      topology: c.use_parallel_residual ? 'parallel' : 'sequential',
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'StableLM', headDim: sizes.headDim })],
    })
  },
}
