/** GPT-Neo: GPT-2's shape with scores that are not scaled, and local attention in every other layer. */
import { z } from 'zod'
import { weight } from '../weights'
import { activation, count, positive, readConfig, unsupported } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { gptNames } from './gpt_bigcode'
import { layerNormed } from './norms'
import { prefixOf } from './parts'

const kind = z.enum(['global', 'local'])

export const gptNeo: Family = {
  name: 'gpt_neo',
  label: 'GPT-Neo',
  modelTypes: ['gpt_neo'],
  read(config, tensors) {
    const c = readConfig(config, 'GPT-Neo', {
      hidden_size: count,
      num_layers: count,
      num_heads: count,
      intermediate_size: count.nullish(),
      max_position_embeddings: count.default(2048),
      vocab_size: count,
      window_size: count.default(256),
      attention_types: z.array(z.tuple([z.array(kind), count])).nullish(),
      // `attention_types` written out
      attention_layers: z.array(kind).nullish(),
      activation_function: activation.default('gelu_tanh'),
      layer_norm_epsilon: positive.default(1e-5),
      tie_word_embeddings: z.boolean().default(true),
    })
    const layers = c.attention_types
      ? c.attention_types.flatMap(([kinds, times]) => Array.from({ length: times }, () => kinds).flat())
      : (c.attention_layers ?? Array.from({ length: c.num_layers }, (_, i) => (i % 2 ? 'local' : 'global')))
    if (layers.length !== c.num_layers)
      throw unsupported('GPT-Neo', 'attention_types', `describes ${layers.length} layers of ${c.num_layers}`)
    const prefix = prefixOf('transformer.', 'wte.weight', tensors)
    return decoder({
      family: 'gpt_neo',
      names: {
        ...gptNames(prefix),
        qkv: null,
        q: 'attn.attention.q_proj',
        k: 'attn.attention.k_proj',
        v: 'attn.attention.v_proj',
        o: 'attn.attention.out_proj',
      },
      hidden: c.hidden_size,
      intermediate: c.intermediate_size ?? 4 * c.hidden_size,
      layers: c.num_layers,
      heads: c.num_heads,
      kvHeads: c.num_heads,
      headDim: Math.floor(c.hidden_size / c.num_heads),
      vocab: c.vocab_size,
      contextLength: c.max_position_embeddings,
      norm: layerNormed(c.layer_norm_epsilon),
      activation: c.activation_function,
      biases: { output: true, mlp: true },
      tied: c.tie_word_embeddings,
      ropes: [],
      attention: (layer) => ({ scale: 1, window: layers[layer] === 'local' ? c.window_size : null }),
      embedding: {
        positions: {
          table: weight(`${prefix}wpe.weight`, c.max_position_embeddings, c.hidden_size),
          offset: 0,
        },
      },
    })
  },
}
