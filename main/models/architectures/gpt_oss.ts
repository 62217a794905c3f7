/** gpt-oss: attention sinks, every other layer slides, and a mixture of experts with biases and a clamped SwiGLU. */
import { z } from 'zod'
import type { ClampedSwigluSpec, LinearSpec } from '../spec'
import { sliced, weight } from '../weights'
import { count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { checkExperts, slab, transposedLinear } from './mixture'
import { llamaNames } from './names'
import { rms } from './norms'
import { linear } from './parts'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf, slidesBy, slidingKeys } from './sizes'

const keys = {
  ...sizeKeys,
  max_position_embeddings: count.default(131072),
  num_key_value_heads: count.nullable().default(8),
  head_dim: count.nullable().default(64),
  // the experts' activation is fixed; the key says "silu" for it
  hidden_act: z.literal('silu').optional(),
  rms_norm_eps: positive.default(1e-5),
  attention_bias: z.literal(true).default(true),
  sliding_window: count.nullable().default(128),
  layer_types: slidingKeys.layer_types,
  num_local_experts: count.optional(),
  num_experts: count.optional(),
  num_experts_per_tok: count.optional(),
  experts_per_token: count.optional(),
  swiglu_alpha: z.number().default(1.702),
  swiglu_limit: positive.default(7),
  initial_context_length: count.optional(),
  tie_word_embeddings: z.boolean().default(false),
}
type Config = z.infer<z.ZodObject<typeof keys>>

export const gptOss: Family = {
  name: 'gpt_oss',
  label: 'gpt-oss',
  modelTypes: ['gpt_oss'],
  read(config) {
    const c = readConfig(config, 'gpt-oss', keys)
    const sizes = sizesOf(c)
    const slides = slidesBy(c.layer_types, sizes.layers, 'gpt-oss', (layer) => layer % 2 === 0)
    const count = c.num_local_experts ?? c.num_experts ?? 128
    const topK = c.num_experts_per_tok ?? c.experts_per_token ?? 4
    checkExperts('gpt-oss', count, topK)
    return decoder({
      family: 'gpt_oss',
      names: llamaNames,
      ...sizes,
      norm: rms(c.rms_norm_eps),
      activation: 'silu',
      biases: { qkv: true, output: true },
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'gpt-oss', headDim: sizes.headDim, theta: 150000 })],
      attention: (layer, prefix) => ({
        window: slides(layer) ? c.sliding_window : null,
        sinks: weight(`${prefix}self_attn.sinks`, sizes.heads),
      }),
      mlp: (_, prefix) => ({
        kind: 'mixture',
        width: sizes.intermediate,
        router: linear(`${prefix}mlp.router`, sizes.hidden, count, true),
        experts: experts(c, `${prefix}mlp.experts.`, count),
        topK,
        weighting: 'topk-first',
        normalise: false,
      }),
    })
  },
}

/** Experts in one tensor each for gate and up (alternating columns) and for down: [expert, inputs, outputs]. */
function experts(c: Config, prefix: string, count: number): ClampedSwigluSpec[] {
  const { hidden_size: hidden, intermediate_size: width } = c
  const both = weight(`${prefix}gate_up_proj`, count, hidden, 2 * width)
  const bothBias = weight(`${prefix}gate_up_proj_bias`, count, 2 * width)
  const down = weight(`${prefix}down_proj`, count, width, hidden)
  const downBias = weight(`${prefix}down_proj_bias`, count, hidden)
  return Array.from({ length: count }, (_, index) => {
    const every2nd = (first: 0 | 1): LinearSpec =>
      transposedLinear(
        sliced(slab(both, index), 1, first, 2 * width, 2),
        sliced(slab(bothBias, index), 0, first, 2 * width, 2),
      )
    return {
      kind: 'clamped-swiglu',
      width,
      gate: every2nd(0),
      up: every2nd(1),
      output: transposedLinear(slab(down, index), slab(downBias, index)),
      alpha: c.swiglu_alpha,
      limit: c.swiglu_limit,
    }
  })
}
