/** GPT-NeoX (Pythia, Dolly): attention and MLP in parallel, each after its own norm; q, k, v interleaved head by head. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { layerNormed } from './norms'
import { prefixOf } from './parts'
import { contextLengthOf, readRope, ropeKeys } from './rope-config'

export const gptNeox: Family = {
  name: 'gpt_neox',
  label: 'GPT-NeoX (Pythia)',
  modelTypes: ['gpt_neox'],
  read(config, tensors) {
    const c = readConfig(config, 'GPT-NeoX', {
      hidden_size: count,
      intermediate_size: count,
      num_hidden_layers: count,
      num_attention_heads: count,
      vocab_size: count,
      hidden_act: activation.default('gelu'),
      layer_norm_eps: positive.default(1e-5),
      use_parallel_residual: z.boolean().default(true),
      attention_bias: z.boolean().default(true),
      ...ropeKeys,
      max_position_embeddings: count.default(2048),
      rotary_pct: positive.max(1).nullish(),
      rotary_emb_base: positive.nullish(),
      partial_rotary_factor: positive.max(1).nullish(),
      tie_word_embeddings: z.boolean().default(false),
    })
    const prefix = prefixOf('gpt_neox.', 'embed_in.weight', tensors)
    const headDim = Math.floor(c.hidden_size / c.num_attention_heads)
    return decoder({
      family: 'gpt_neox',
      names: {
        ...llamaNames,
        embedding: `${prefix}embed_in`,
        finalNorm: `${prefix}final_layer_norm`,
        head: tensors.has('lm_head.weight') ? 'lm_head' : 'embed_out',
        block: (layer) => `${prefix}layers.${layer}.`,
        qkv: 'attention.query_key_value',
        o: 'attention.dense',
        gate: null,
        up: 'mlp.dense_h_to_4h',
        down: 'mlp.dense_4h_to_h',
      },
      hidden: c.hidden_size,
      intermediate: c.intermediate_size,
      layers: c.num_hidden_layers,
      heads: c.num_attention_heads,
      kvHeads: c.num_attention_heads,
      headDim,
      vocab: c.vocab_size,
      contextLength: contextLengthOf(c),
      norm: layerNormed(c.layer_norm_eps),
      activation: c.hidden_act,
      biases: { qkv: c.attention_bias, output: c.attention_bias, mlp: true },
      topology: c.use_parallel_residual ? 'parallel' : 'sequential',
      qkvLayout: 'grouped',
      tied: c.tie_word_embeddings,
      ropes: [
        readRope(c, {
          family: 'GPT-NeoX',
          headDim,
          theta: c.rotary_emb_base ?? undefined,
          partial: c.rotary_pct ?? 0.25,
        }),
      ],
    })
  },
}
