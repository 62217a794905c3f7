/** Mixtral: Mistral with a mixture of experts as MLP. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { checkExperts, separateExperts, softmaxFirst } from './mixture'
import { llamaNames } from './names'
import { rms } from './norms'
import { linear } from './parts'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const mixtral: Family = {
  name: 'mixtral',
  label: 'Mixtral',
  modelTypes: ['mixtral'],
  read(config) {
    const c = readConfig(config, 'Mixtral', {
      ...sizeKeys,
      max_position_embeddings: count.default(131072),
      num_key_value_heads: count.nullable().default(8),
      hidden_act: activation.default('silu'),
      rms_norm_eps: positive.default(1e-5),
      sliding_window: count.nullish(),
      num_local_experts: count.optional(),
      num_experts: count.optional(),
      num_experts_per_tok: count.default(2),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    const experts = {
      hidden: sizes.hidden,
      width: sizes.intermediate,
      count: c.num_local_experts ?? c.num_experts ?? 8,
      activation: c.hidden_act,
    }
    checkExperts('Mixtral', experts.count, c.num_experts_per_tok)
    return decoder({
      family: 'mixtral',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: c.hidden_act,
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Mixtral', headDim: sizes.headDim, theta: 1e6 })],
      attention: () => ({ window: c.sliding_window ?? null }),
      mlp: (_, prefix) => {
        const moe = `${prefix}block_sparse_moe.`
        const names = { expert: (i: number) => `${moe}experts.${i}.`, gate: 'w1', up: 'w3', down: 'w2' }
        return softmaxFirst(
          linear(`${moe}gate`, sizes.hidden, experts.count, false),
          separateExperts(names, experts),
          experts.width,
          c.num_experts_per_tok,
          true,
        )
      },
    })
  },
}
