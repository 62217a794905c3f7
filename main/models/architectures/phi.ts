/** Phi-1, 1.5 and 2: attention and MLP in parallel after one norm, rotary on part of each head, biases everywhere. */
import { z } from 'zod'
import { activation, count, positive, readConfig } from './config'
import { decoder } from './decoder'
import type { Family } from './family'
import { llamaNames } from './names'
import { layerNormed } from './norms'
import { readRope } from './rope-config'
import { sizeKeys, sizesOf } from './sizes'

export const phi: Family = {
  name: 'phi',
  label: 'Phi-2',
  modelTypes: ['phi'],
  read(config) {
    const c = readConfig(config, 'Phi', {
      ...sizeKeys,
      max_position_embeddings: count.default(2048),
      hidden_act: activation.default('gelu_tanh'),
      layer_norm_eps: positive.default(1e-5),
      partial_rotary_factor: positive.max(1).default(0.5),
      qk_layernorm: z.boolean().default(false),
      tie_word_embeddings: z.boolean().default(false),
    })
    const sizes = sizesOf(c)
    return decoder({
      family: 'phi',
      names: {
        ...llamaNames,
        finalNorm: 'model.final_layernorm',
        qNorm: 'self_attn.q_layernorm',
        kNorm: 'self_attn.k_layernorm',
        o: 'self_attn.dense',
        mlpNorm: null,
        gate: null,
        up: 'mlp.fc1',
        down: 'mlp.fc2',
      },
      ...sizes,
      norm: layerNormed(c.layer_norm_eps),
      headNorm: c.qk_layernorm ? 'head' : undefined,
      activation: c.hidden_act,
      biases: { qkv: true, output: true, mlp: true, head: true },
      topology: 'parallel',
      tied: c.tie_word_embeddings,
      ropes: [readRope(c, { family: 'Phi', headDim: sizes.headDim })],
    })
  },
}
