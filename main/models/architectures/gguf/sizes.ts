/** What nearly every GGUF architecture says under the same keys: sizes, biases, rotary embedding. */
import type { RopeSpec } from '../../rope'
import type { LinearSpec, MlpSpec } from '../../spec'
import { unpermuted } from '../../weights'
import { unsupported } from '../config'
import { checkExperts, softmaxFirst, stackedExperts } from '../mixture'
import { linear } from '../parts'
import { ggufRopeScaling, type GgufSettings } from './metadata'

/** Sizes, and whether the head is the embedding. */
export function ggufSizes(settings: GgufSettings) {
  const hidden = settings.number('embedding_length')
  const heads = settings.number('attention.head_count')
  const headDim = settings.number('attention.key_length', Math.floor(hidden / heads))
  if (settings.number('attention.value_length', headDim) !== headDim)
    throw unsupported(
      settings.label,
      `${settings.architecture}.attention.value_length`,
      'differs from the key length',
    )
  return {
    hidden,
    heads,
    headDim,
    intermediate: settings.number('feed_forward_length'),
    layers: settings.number('block_count'),
    kvHeads: settings.number('attention.head_count_kv', heads),
    vocab: settings.size('token_embd.weight', 0),
    contextLength: settings.number('context_length'),
    tied: !settings.has('output.weight'),
  }
}

/** Which linears have a bias: as the first block's tensors show. */
export const ggufBiases = (settings: GgufSettings) => {
  const has = (name: string): boolean => settings.has(`blk.0.${name}.bias`)
  return {
    qkv: has('attn_qkv') || has('attn_q'),
    output: has('attn_output'),
    mlp: has('ffn_up'),
    head: settings.has('output.bias'),
  }
}

/** The rotary embedding: base, rotated dimensions and scaling; LongRoPE's factors are tensors. */
export async function ggufRope(
  settings: GgufSettings,
  headDim: number,
  interleaved = false,
): Promise<RopeSpec> {
  const dim = settings.number('rope.dimension_count', headDim)
  const base = settings.number('rope.freq_base', 10000)
  const attentionFactor = settings.number('rope.scaling.attn_factor', 1)
  const originalLength = settings.optional('rope.scaling.original_context_length')
  if (!settings.has('rope_factors_long.weight') || !settings.has('rope_factors_short.weight'))
    return { base, dim, interleaved, scaling: await ggufRopeScaling(settings, dim) }
  settings.string('rope.scaling.type')
  settings.optional('rope.scaling.factor')
  const factors = async (which: string): Promise<number[]> => {
    const values = await settings.checkpoint.readFloat32(`rope_factors_${which}.weight`)
    if (values.length * 2 !== dim)
      throw unsupported(settings.label, `rope_factors_${which}.weight`, `has not ${dim / 2} elements`)
    return Array.from(values)
  }
  return {
    base,
    dim,
    interleaved,
    scaling: {
      kind: 'longrope',
      shortFactor: await factors('short'),
      longFactor: await factors('long'),
      originalLength: originalLength ?? settings.number('context_length'),
      attentionFactor,
    },
  }
}

/** Undoes GGUF's order of query and key rows. */
export const unpermutedRows = (projection: LinearSpec, heads: number): LinearSpec => ({
  ...projection,
  weight: unpermuted(projection.weight, heads),
  bias: projection.bias === null ? null : unpermuted(projection.bias, heads),
})

/** Mixtures whose chosen weights are always divided by their sum, in the layers that have a router. */
export function ggufMixtures(settings: GgufSettings): (layer: number, prefix: string) => MlpSpec | null {
  const hidden = settings.number('embedding_length')
  const width = settings.number('expert_feed_forward_length', settings.number('feed_forward_length'))
  const experts = { hidden, width, count: settings.number('expert_count'), activation: 'silu' } as const
  const topK = settings.number('expert_used_count')
  checkExperts(settings.label, experts.count, topK)
  return (_, prefix) => {
    if (!settings.has(`${prefix}ffn_gate_inp.weight`)) return null
    const names = {
      gate: `${prefix}ffn_gate_exps`,
      up: `${prefix}ffn_up_exps`,
      down: `${prefix}ffn_down_exps`,
    }
    const router = linear(`${prefix}ffn_gate_inp`, hidden, experts.count, false)
    return softmaxFirst(router, stackedExperts(names, experts), width, topK, true)
  }
}
