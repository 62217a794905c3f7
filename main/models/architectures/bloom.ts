/** BLOOM: a norm right after the embedding, ALiBi, and q, k, v interleaved head by head in one matrix. */
import { z } from 'zod'
import { plainAlibi } from '../alibi'
import { count, positive, readConfig } from './config'
import { decoder, type Names } from './decoder'
import type { Family } from './family'
import { layerNormed } from './norms'
import { prefixOf } from './parts'

export const bloomNames = (prefix: string): Names => ({
  embedding: `${prefix}word_embeddings`,
  finalNorm: `${prefix}ln_f`,
  head: 'lm_head',
  block: (layer) => `${prefix}h.${layer}.`,
  attentionNorm: 'input_layernorm',
  qkv: 'self_attention.query_key_value',
  q: '',
  k: '',
  v: '',
  qNorm: null,
  kNorm: null,
  o: 'self_attention.dense',
  attentionPostNorm: null,
  mlpNorm: 'post_attention_layernorm',
  gateUp: null,
  gate: null,
  up: 'mlp.dense_h_to_4h',
  down: 'mlp.dense_4h_to_h',
  mlpPostNorm: null,
})

export const bloom: Family = {
  name: 'bloom',
  label: 'BLOOM',
  modelTypes: ['bloom'],
  read(config, tensors) {
    const c = readConfig(config, 'BLOOM', {
      hidden_size: count.optional(),
      n_embed: count.nullish(),
      n_layer: count.optional(),
      num_hidden_layers: count.optional(),
      n_head: count.optional(),
      num_attention_heads: count.optional(),
      vocab_size: count,
      layer_norm_epsilon: positive.default(1e-5),
      apply_residual_connection_post_layernorm: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(true),
      // nothing learned is as long as the context: ALiBi has no limit
      seq_length: count.nullish(),
    })
    const hidden = c.n_embed ?? c.hidden_size ?? 64
    const heads = c.n_head ?? c.num_attention_heads ?? 8
    const prefix = prefixOf('transformer.', 'word_embeddings.weight', tensors)
    const norm = layerNormed(c.layer_norm_epsilon)
    return decoder({
      family: 'bloom',
      names: bloomNames(prefix),
      hidden,
      intermediate: 4 * hidden,
      layers: c.n_layer ?? c.num_hidden_layers ?? 2,
      heads,
      kvHeads: heads,
      headDim: Math.floor(hidden / heads),
      vocab: c.vocab_size,
      contextLength: c.seq_length ?? 2048,
      norm,
      activation: 'gelu_tanh',
      biases: { qkv: true, output: true, mlp: true },
      topology: c.apply_residual_connection_post_layernorm ? 'normed-residual' : 'sequential',
      qkvLayout: 'grouped',
      tied: c.tie_word_embeddings,
      ropes: [],
      attention: () => ({ alibi: plainAlibi(heads) }),
      embedding: { norm: norm(`${prefix}word_embeddings_layernorm`, hidden) },
    })
  },
}
