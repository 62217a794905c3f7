/** Phi-3 and Phi-4: Llama's shape with fused projections, LongRoPE, and a sliding window in every layer where one is set. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const phi3: Family = {
  name: 'phi3',
  label: 'Phi-3',
  modelTypes: ['phi3'],
  read(config) {
    const c = readConfig(config, 'Phi-3', {
      ...sizeKeys,
      max_position_embeddings: count.default(4096),
      original_max_position_embeddings: count.nullable().default(4096),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-5),
      partial_rotary_factor: positive.max(1).default(1),
      sliding_window: count.nullish(),
      // options of the authors' own code, which transformers has not; published files say that they are off
      attention_bias: z.literal(false).optional(),
      mlp_bias: z.literal(false).optional(),
      lm_head_bias: z.literal(false).optional(),
      full_attn_mod: z.literal(1).optional(),
      interpolate_factor: z.literal(1).optional(),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'phi3',
      names: { ...llamaNames, qkv: 'self_attn.qkv_proj', gateUp: 'mlp.gate_up_proj' },
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      qkvLayout: 'stacked',
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Phi-3', headDim: sizes.headDim })],
      attention: () => ({ window: c.sliding_window ?? null }),
    })
  },
}
