/**
 * OPT: learned positions that begin at row 2; norms before the sublayers or, in the 350M model, after the addition, where
 * the embedding is also narrower than the residual stream.
 */
import { z } from 'zod'
import { weight } from '../weights'
import { activation, count, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { bareLayerNorm, layerNormed } from './norms'
import { linear, prefixOf } from './parts'

/** torch's default, which the configuration can not change. */
const eps = 1e-5

export const opt: Family = {
  name: 'opt',
  label: 'OPT',
  modelTypes: ['opt'],
  read(config, tensors) {
    const c = readConfig(config, 'OPT', {
      hidden_size: count,
      ffn_dim: count,
      num_hidden_layers: count,
      num_attention_heads: count,
      max_position_embeddings: count.default(2048),
      vocab_size: count,
      word_embed_proj_dim: count.nullish(),
      activation_function: activation.default('relu'),
      do_layer_norm_before: z.boolean().default(true),
      _remove_final_layer_norm: z.boolean().default(false),
      enable_bias: z.boolean().default(true),
      layer_norm_elementwise_affine: z.boolean().default(true),
      tie_word_embeddings: z.boolean().default(true),
    })
    const prefix = `${prefixOf('model.', 'decoder.embed_tokens.weight', tensors)}decoder.`
    const { hidden_size: hidden, vocab_size: vocab } = c
    const headDim = Math.floor(hidden / c.num_attention_heads)
    const narrow = c.word_embed_proj_dim ?? hidden
    const head = c.tie_word_embeddings ? `${prefix}embed_tokens` : 'lm_head'
    return decoder({
      family: 'opt',
      names: {
        ...llamaNames,
        embedding: `${prefix}embed_tokens`,
        finalNorm: c.do_layer_norm_before && !c._remove_final_layer_norm ? `${prefix}final_layer_norm` : null,
        block: (layer) => `${prefix}layers.${layer}.`,
        attentionNorm: 'self_attn_layer_norm',
        o: 'self_attn.out_proj',
        mlpNorm: 'final_layer_norm',
        gate: null,
        up: 'fc1',
        down: 'fc2',
      },
      hidden,
      intermediate: c.ffn_dim,
      layers: c.num_hidden_layers,
      heads: c.num_attention_heads,
      kvHeads: c.num_attention_heads,
      headDim,
      vocab,
      contextLength: c.max_position_embeddings,
      norm: c.layer_norm_elementwise_affine ? layerNormed(eps) : bareLayerNorm(eps),
      activation: c.activation_function,
      biases: { qkv: c.enable_bias, output: c.enable_bias, mlp: c.enable_bias },
      topology: c.do_layer_norm_before ? 'sequential' : 'post-norm',
      tied: c.tie_word_embeddings,
      ropes: [],
      // the queries themselves are scaled, and not the scores
      attention: () => ({ queryMultiplier: 1 / Math.sqrt(headDim), scale: 1 }),
      embedding: {
        tokens: weight(`${prefix}embed_tokens.weight`, vocab, narrow),
        projection: narrow === hidden ? null : linear(`${prefix}project_in`, narrow, hidden, false),
        positions: {
          table: weight(`${prefix}embed_positions.weight`, c.max_position_embeddings + 2, hidden),
          offset: 2,
        },
      },
      unembedding: {
        projection: narrow === hidden ? null : linear(`${prefix}project_out`, hidden, narrow, false),
        head: linear(head, narrow, vocab, false),
      },
    })
  },
}
