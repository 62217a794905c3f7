/**
 * Falcon, in its three generations: one key/value head for all (7B), grouped key/value heads (40B and later), and one for
 * each query head with ALiBi (RW). Attention and MLP are parallel or not, with one norm or two.
 */
import { z } from 'zod'
import { alibiSlopes } from '../alibi'
import { activation, count, positive, readConfig, unsupported } from './config'
import { decoder, type Names } from './decoder'
import type { Family } from './family'
import { layerNormed } from './norms'
import { prefixOf } from './parts'
import { contextLengthOf, readRope, ropeKeys } from './rope-config'
import { bloomNames } from './bloom'

const keys = {
  vocab_size: count,
  hidden_size: count.optional(),
  n_embed: count.nullish(),
  num_hidden_layers: count,
  num_attention_heads: count,
  num_kv_heads: count.nullish(),
  num_ln_in_parallel_attn: z.union([z.literal(1), z.literal(2)]).nullish(),
  layer_norm_epsilon: positive.default(1e-5),
  alibi: z.boolean().default(false),
  new_decoder_architecture: z.boolean().default(false),
  multi_query: z.boolean().default(true),
  parallel_attn: z.boolean().default(true),
  // of the code before transformers took the family up
  apply_residual_connection_post_layernorm: z.literal(false).optional(),
  ff_factor: z.number().optional(),
  bias: z.boolean().default(false),
  ffn_hidden_size: count.nullish(),
  activation: activation.default('gelu'),
  tie_word_embeddings: z.boolean().default(true),
  ...ropeKeys,
  max_position_embeddings: count.default(2048),
}

export const falcon: Family = {
  name: 'falcon',
  label: 'Falcon',
  modelTypes: ['falcon'],
  read(config, tensors) {
    const c = readConfig(config, 'Falcon', keys)
    const hidden = c.n_embed ?? c.hidden_size ?? 4544
    const heads = c.num_attention_heads
    const headDim = Math.floor(hidden / heads)
    const norms = c.num_ln_in_parallel_attn ?? (c.new_decoder_architecture ? 2 : 1)
    if (c.new_decoder_architecture && !c.parallel_attn)
      throw unsupported('Falcon', 'parallel_attn', 'is false together with new_decoder_architecture')
    if (!c.new_decoder_architecture && c.parallel_attn && norms === 2)
      throw unsupported('Falcon', 'num_ln_in_parallel_attn', 'is 2 without new_decoder_architecture')
    const grouped = c.new_decoder_architecture ? (c.num_kv_heads ?? heads) : heads
    return decoder({
      family: 'falcon',
      names: falconNames(prefixOf('transformer.', 'word_embeddings.weight', tensors), c.parallel_attn, norms),
      hidden,
      intermediate: c.ffn_hidden_size ?? 4 * hidden,
      layers: c.num_hidden_layers,
      heads,
      kvHeads: c.multi_query && !c.new_decoder_architecture ? 1 : grouped,
      headDim,
      vocab: c.vocab_size,
      contextLength: contextLengthOf(c),
      norm: layerNormed(c.layer_norm_epsilon),
      activation: c.activation,
      biases: { qkv: c.bias, output: c.bias, mlp: c.bias },
      topology: c.parallel_attn ? 'parallel' : 'sequential',
      qkvLayout: 'grouped',
      tied: c.tie_word_embeddings,
      ropes: c.alibi ? [] : [readRope(c, { family: 'Falcon', headDim })],
      // the scale of the scores is applied to the bias too
      attention: () => ({
        alibi: c.alibi ? { slopes: alibiSlopes(heads), scale: 1 / Math.sqrt(headDim), bfloat16: true } : null,
      }),
    })
  },
}

function falconNames(prefix: string, parallel: boolean, norms: 1 | 2): Names {
  const names = bloomNames(prefix)
  if (!parallel) return names
  return norms === 2 ? { ...names, attentionNorm: 'ln_attn', mlpNorm: 'ln_mlp' } : { ...names, mlpNorm: null }
}
