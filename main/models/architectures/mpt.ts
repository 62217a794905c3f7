/**
 * MPT: ALiBi, LayerNorm and linears without biases, stacked q, k, v. As in transformers' own code, the MLP is four times as
 * wide as the model and the ALiBi bias goes up to 8 whatever `expansion_ratio` and `alibi_bias_max` say.
 */
import { z } from 'zod'
import { plainAlibi } from '../alibi'
import { count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { layerNormed } from './norms'
import { prefixOf } from './parts'

const attentionKeys = {
  attn_type: z.literal('multihead_attention').optional(),
  attn_impl: z.string().optional(),
  clip_qkv: positive.nullish(),
  softmax_scale: positive.nullish(),
  prefix_lm: z.literal(false).optional(),
  qk_ln: z.literal(false).optional(),
  attn_uses_sequence_id: z.literal(false).optional(),
  alibi: z.literal(true).default(true),
  alibi_bias_max: count.optional(),
}

const keys = {
  d_model: count,
  n_heads: count,
  n_layers: count,
  max_seq_len: count.default(2048),
  vocab_size: count,
  expansion_ratio: positive.optional(),
  layer_norm_epsilon: positive.default(1e-5),
  attn_config: z
    .unknown()
    .transform((value) => readConfig(value ?? {}, 'MPT', attentionKeys))
    .optional(),
  learned_pos_emb: z.boolean().optional(),
  no_bias: z.literal(true).optional(),
  norm_type: z.enum(['low_precision_layernorm', 'layernorm']).optional(),
  embedding_fraction: z.number().optional(),
  verbose: z.number().optional(),
  use_flash_attn: z.boolean().optional(),
  tie_word_embeddings: z.boolean().default(true),
}

export const mpt: Family = {
  name: 'mpt',
  label: 'MPT',
  modelTypes: ['mpt'],
  read(config, tensors) {
    const c = readConfig(config, 'MPT', keys)
    const attention = c.attn_config ?? readConfig({}, 'MPT', attentionKeys)
    const prefix = prefixOf('transformer.', 'wte.weight', tensors)
    const headDim = Math.floor(c.d_model / c.n_heads)
    return decoder({
      family: 'mpt',
      names: {
        embedding: `${prefix}wte`,
        finalNorm: `${prefix}norm_f`,
        head: 'lm_head',
        block: (layer) => `${prefix}blocks.${layer}.`,
        attentionNorm: 'norm_1',
        qkv: 'attn.Wqkv',
        q: '',
        k: '',
        v: '',
        qNorm: null,
        kNorm: null,
        o: 'attn.out_proj',
        attentionPostNorm: null,
        mlpNorm: 'norm_2',
        gateUp: null,
        gate: null,
        up: 'ffn.up_proj',
        down: 'ffn.down_proj',
        mlpPostNorm: null,
      },
      hidden: c.d_model,
      intermediate: 4 * c.d_model,
      layers: c.n_layers,
      heads: c.n_heads,
      kvHeads: c.n_heads,
      headDim,
      vocab: c.vocab_size,
      contextLength: c.max_seq_len,
      norm: layerNormed(c.layer_norm_epsilon, false),
      activation: 'gelu',
      qkvLayout: 'stacked',
      tied: c.tie_word_embeddings,
      ropes: [],
      attention: () => ({
        alibi: plainAlibi(c.n_heads),
        clip: attention.clip_qkv ?? null,
        scale: attention.softmax_scale ?? 1 / Math.sqrt(headDim),
      }),
    })
  },
}
