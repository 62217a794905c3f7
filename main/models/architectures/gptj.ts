/** GPT-J: attention and MLP in parallel after one norm, interleaved rotary pairs on part of each head, a head with a bias. */
import { z } from 'zod'
import { activation, count, positive, readConfig, unsupported } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { gptNames } from './gpt_bigcode'
import { layerNormed } from './norms'
import { prefixOf } from './parts'

export const gptj: Family = {
  name: 'gptj',
  label: 'GPT-J',
  modelTypes: ['gptj'],
  read(config, tensors) {
    const c = readConfig(config, 'GPT-J', {
      n_embd: count,
      n_layer: count,
      n_head: count,
      n_inner: count.nullish(),
      n_positions: count.default(2048),
      vocab_size: count,
      rotary_dim: count.nullable().default(64),
      activation_function: activation.default('gelu_tanh'),
      layer_norm_epsilon: positive.default(1e-5),
      scale_attn_weights: z.literal(true).default(true),
      rotary: z.literal(true).default(true),
      tie_word_embeddings: z.boolean().default(false),
    })
    const headDim = Math.floor(c.n_embd / c.n_head)
    // without it, transformers takes frequencies for d_model dimensions, which fit only a single head
    const dim = c.rotary_dim ?? c.n_embd
    if (dim > headDim)
      throw unsupported('GPT-J', 'rotary_dim', `is ${dim}, more than a head of ${headDim} has`)
    return decoder({
      family: 'gptj',
      names: {
        ...gptNames(prefixOf('transformer.', 'wte.weight', tensors)),
        qkv: null,
        q: 'attn.q_proj',
        k: 'attn.k_proj',
        v: 'attn.v_proj',
        o: 'attn.out_proj',
        mlpNorm: null,
        up: 'mlp.fc_in',
        down: 'mlp.fc_out',
      },
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
      biases: { mlp: true, head: true },
      topology: 'parallel',
      tied: c.tie_word_embeddings,
      ropes: [{ base: 10000, dim, interleaved: true, scaling: { kind: 'default' } }],
    })
  },
}
