/** GLM-4: norms before and after each sublayer, interleaved rotary pairs on part of each head, gate and up in one matrix. */
import { z } from 'zod'
import { activation, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { rms } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const glm4: Family = {
  name: 'glm4',
  label: 'GLM-4',
  modelTypes: ['glm4'],
  read(config) {
    const c = readConfig(config, 'GLM-4', {
      ...sizeKeys,
      max_position_embeddings: sizeKeys.max_position_embeddings.default(131072),
      head_dim: sizeKeys.vocab_size.default(128),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1.5625e-7),
      attention_bias: z.boolean().default(true),
      partial_rotary_factor: positive.max(1).default(0.5),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'glm4',
      names: {
        ...llamaNames,
        attentionPostNorm: 'post_self_attn_layernorm',
        mlpPostNorm: 'post_mlp_layernorm',
        gateUp: 'mlp.gate_up_proj',
      },
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'GLM-4', headDim: sizes.headDim, interleaved: true })],
    })
  },
}
