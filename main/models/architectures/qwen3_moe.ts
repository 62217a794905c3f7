/** Qwen 3 MoE: Qwen 3 with mixtures of experts in all layers but those named dense. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { checkExperts, separateExperts, softmaxFirst } from './mixture'
import { llamaNames } from './names'
import { rms } from './norms'
import { linear } from './parts'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf, slidingKeys } from './sizes'

export const qwen3Moe: Family = {
  name: 'qwen3_moe',
  label: 'Qwen 3 MoE',
  modelTypes: ['qwen3_moe'],
  read(config) {
    const c = readConfig(config, 'Qwen 3 MoE', {
      ...sizeKeys,
      max_position_embeddings: count.default(32768),
      num_key_value_heads: count.nullable().default(4),
      use_sliding_window: slidingKeys.use_sliding_window,
      sliding_window: count.nullable().default(4096),
      // set in published files; transformers lets all layers of this family slide or none
      max_window_layers: z.number().int().nonnegative().optional(),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-6),
      attention_bias: z.boolean().default(false),
      decoder_sparse_step: count.default(1),
      mlp_only_layers: z.array(z.number().int().nonnegative()).nullish(),
      moe_intermediate_size: count.default(768),
      num_experts: z.number().int().nonnegative().optional(),
      num_local_experts: z.number().int().nonnegative().optional(),
      num_experts_per_tok: count.default(8),
      norm_topk_prob: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    const experts = {
      hidden: sizes.hidden,
      width: c.moe_intermediate_size,
      count: c.num_experts ?? c.num_local_experts ?? 128,
      activation: c.hidden_act,
    }
    const dense = (layer: number): boolean =>
      (c.mlp_only_layers ?? []).includes(layer) ||
      experts.count === 0 ||
      (layer + 1) % c.decoder_sparse_step !== 0
    if (experts.count > 0) checkExperts('Qwen 3 MoE', experts.count, c.num_experts_per_tok)
    return decoder({
      family: 'qwen3_moe',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      headNorm: 'head',
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Qwen 3 MoE', headDim: sizes.headDim })],
      attention: () => ({ window: c.use_sliding_window ? c.sliding_window : null }),
      mlp: (layer, prefix) => {
        if (dense(layer)) return null
        const moe = `${prefix}mlp.`
        const names = {
          expert: (i: number) => `${moe}experts.${i}.`,
          gate: 'gate_proj',
          up: 'up_proj',
          down: 'down_proj',
        }
        return softmaxFirst(
          linear(`${moe}gate`, sizes.hidden, experts.count, false),
          separateExperts(names, experts),
          experts.width,
          c.num_experts_per_tok,
          c.norm_topk_prob,
        )
      },
    })
  },
}
