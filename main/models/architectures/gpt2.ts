/** GPT-2: LayerNorm, learned positions, fused qkv, and matrices stored [in, out] (Conv1D). */
import { z } from 'zod'
import { weight } from '../weights'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { gptNames } from './gpt_bigcode'
import { layerNormed } from './norms'
import { conv1d, prefixOf } from './parts'

export const gpt2: Family = {
  name: 'gpt2',
  label: 'GPT-2',
  modelTypes: ['gpt2'],
  read(config, tensors) {
    const c = readConfig(config, 'GPT-2', {
      n_embd: count,
      n_layer: count,
      n_head: count,
      n_inner: count.nullish(),
      n_positions: count.default(1024),
      n_ctx: count.optional(),
      vocab_size: count,
      activation_function: activation.default('gelu_tanh'),
      layer_norm_epsilon: positive.default(1e-5),
      scale_attn_weights: z.boolean().default(true),
      scale_attn_by_inverse_layer_idx: z.boolean().default(false),
      add_cross_attention: z.literal(false).default(false),
      tie_word_embeddings: z.boolean().default(true),
    })
    const prefix = prefixOf('transformer.', 'wte.weight', tensors)
    const headDim = Math.floor(c.n_embd / c.n_head)
    const scale = c.scale_attn_weights ? 1 / Math.sqrt(headDim) : 1
    return decoder({
      family: 'gpt2',
      names: gptNames(prefix),
      hidden: c.n_embd,
      intermediate: c.n_inner ?? 4 * c.n_embd,
      layers: c.n_layer,
      heads: c.n_head,
      kvHeads: c.n_head,
      headDim,
      vocab: c.vocab_size,
      contextLength: c.n_positions,
      norm: layerNormed(c.layer_norm_epsilon),
      activation: c.activation_function,
      linear: conv1d,
      tied: c.tie_word_embeddings,
      ropes: [],
      attention: (layer) => ({ scale: c.scale_attn_by_inverse_layer_idx ? scale / (layer + 1) : scale }),
      embedding: { positions: { table: weight(`${prefix}wpe.weight`, c.n_positions, c.n_embd), offset: 0 } },
    })
  },
}
