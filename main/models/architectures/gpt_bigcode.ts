/** GPTBigCode (SantaCoder, StarCoder): GPT-2's shape with nn.Linear matrices and, usually, one key/value head for all. */
import { z } from 'zod'
import { weight } from '../weights'
import { activation, count, positive, readConfig } from './config'
import { decoder, type Names } from './decoder'
import type { Family } from './family'
import { layerNormed } from './norms'
import { prefixOf } from './parts'

export const gptNames = (prefix: string): Names => ({
  embedding: `${prefix}wte`,
  finalNorm: `${prefix}ln_f`,
  head: 'lm_head',
  block: (layer) => `${prefix}h.${layer}.`,
  attentionNorm: 'ln_1',
  qkv: 'attn.c_attn',
  q: '',
  k: '',
  v: '',
  qNorm: null,
  kNorm: null,
  o: 'attn.c_proj',
  attentionPostNorm: null,
  mlpNorm: 'ln_2',
  gateUp: null,
  gate: null,
  up: 'mlp.c_fc',
  down: 'mlp.c_proj',
  mlpPostNorm: null,
})

export const gptBigcode: Family = {
  name: 'gpt_bigcode',
  label: 'GPTBigCode (StarCoder)',
  modelTypes: ['gpt_bigcode'],
  read(config, tensors) {
    const c = readConfig(config, 'GPTBigCode', {
      n_embd: count,
      n_layer: count,
      n_head: count,
      n_inner: count.nullish(),
      n_positions: count.default(1024),
      max_sequence_length: count.nullish(),
      vocab_size: count,
      activation_function: activation.default('gelu_tanh'),
      layer_norm_epsilon: positive.default(1e-5),
      scale_attn_weights: z.boolean().default(true),
      multi_query: z.boolean().default(true),
      // follows from multi_query
      num_key_value_heads: count.nullish(),
      add_cross_attention: z.literal(false).default(false),
      tie_word_embeddings: z.boolean().default(true),
    })
    const prefix = prefixOf('transformer.', 'wte.weight', tensors)
    return decoder({
      family: 'gpt_bigcode',
      names: gptNames(prefix),
      hidden: c.n_embd,
      intermediate: c.n_inner ?? 4 * c.n_embd,
      layers: c.n_layer,
      heads: c.n_head,
      kvHeads: c.multi_query ? 1 : c.n_head,
      headDim: Math.floor(c.n_embd / c.n_head),
      vocab: c.vocab_size,
      contextLength: c.n_positions,
      norm: layerNormed(c.layer_norm_epsilon),
      activation: c.activation_function,
      biases: { qkv: true, output: true, mlp: true },
      qkvLayout: c.multi_query ? 'stacked' : 'grouped',
      tied: c.tie_word_embeddings,
      ropes: [],
      attention: () => (c.scale_attn_weights ? {} : { scale: 1 }),
      embedding: { positions: { table: weight(`${prefix}wpe.weight`, c.n_positions, c.n_embd), offset: 0 } },
    })
  },
}
