/**
 * Gemma 3: norms of queries and keys, several sliding layers to each global one, each kind with a rotary base of its own.
 * Of the models that also see images, the language model is read.
 */
import { z } from 'zod'
import type { RopeSpec } from '../rope'
import { activation, count, positive, readConfig } from './config'
import { decoder, type Names } from './decoder'
import type { Family } from './family'
import { gemmaKeys, gemmaNames } from './gemma'
import { rmsAroundOne } from './norms'
import { readRope, ropeKeys, type RopeConfig } from './rope-config'
import { sizesOf, slidesBy, slidingKeys } from './sizes'

const family = 'Gemma 3'

const keys = {
  ...gemmaKeys,
  // published files of the larger models leave out what is the class's default
  hidden_size: count.default(2304),
  intermediate_size: count.default(9216),
  num_hidden_layers: count.default(26),
  num_attention_heads: count.default(8),
  num_key_value_heads: count.nullable().default(4),
  vocab_size: count.default(262208),
  hidden_activation: activation.default('gelu_tanh'),
  max_position_embeddings: count.default(131072),
  rope_local_base_freq: positive.default(10000),
  rope_parameters: z
    .object({ full_attention: ropeKeys.rope_parameters, sliding_attention: ropeKeys.rope_parameters })
    .strict()
    .nullish(),
  query_pre_attn_scalar: positive.default(256),
  sliding_window: count.nullable().default(4096),
  layer_types: slidingKeys.layer_types,
  sliding_window_pattern: count.nullish(),
  _sliding_window_pattern: count.nullish(),
  final_logit_softcapping: positive.nullish(),
  // transformers keeps the setting for this family and applies it nowhere
  attn_logit_softcapping: positive.nullish(),
}
type Config = z.infer<z.ZodObject<typeof keys>>

/** Of a model that sees images; what is about images changes no number of a text. */
const outerKeys = {
  text_config: z.record(z.string(), z.unknown()),
  vision_config: z.unknown(),
  mm_tokens_per_image: z.unknown(),
  boi_token_index: z.unknown(),
  eoi_token_index: z.unknown(),
  image_token_index: z.unknown(),
  tie_word_embeddings: z.boolean().optional(),
}

export const gemma3: Family = {
  name: 'gemma3',
  label: 'Gemma 3',
  modelTypes: ['gemma3_text', 'gemma3'],
  read(config) {
    const seesImages = hasTextConfig(config)
    const c = readConfig(seesImages ? textConfig(config) : config, family, keys)
    const sizes = sizesOf({ ...c, rope_parameters: null })
    const pattern = c.sliding_window_pattern ?? c._sliding_window_pattern ?? 6
    const slides = slidesBy(c.layer_types, sizes.layers, family, (layer) => (layer + 1) % pattern !== 0)
    return decoder({
      family: 'gemma3',
      names: seesImages ? behind('language_model.', gemmaNames) : gemmaNames,
      ...sizes,
      norm: rmsAroundOne(c.rms_norm_eps),
      headNorm: 'head',
      activation: c.hidden_activation,
      biases: { qkv: c.attention_bias, output: c.attention_bias },
      tied: c.tie_word_embeddings,
      ropes: ropes(c),
      attention: (layer) => ({
        scale: 1 / Math.sqrt(c.query_pre_attn_scalar),
        rope: slides(layer) ? 1 : 0,
        window: slides(layer) ? c.sliding_window : null,
      }),
      embedding: { multiplier: Math.sqrt(sizes.hidden) },
      unembedding: { softcap: c.final_logit_softcapping ?? null },
    })
  },
}

const hasTextConfig = (config: unknown): boolean =>
  config !== null && typeof config === 'object' && 'text_config' in config

/** The language model's part of a configuration. */
function textConfig(config: unknown): Record<string, unknown> {
  const { text_config: text, tie_word_embeddings: tied } = readConfig(config, family, outerKeys)
  return tied === undefined ? text : { ...text, tie_word_embeddings: tied }
}

const behind = (prefix: string, names: Names): Names => ({
  ...names,
  embedding: prefix + names.embedding,
  finalNorm: names.finalNorm === null ? null : prefix + names.finalNorm,
  head: prefix + names.head,
  block: (layer) => prefix + names.block(layer),
})

/** The global layers' rotary embedding, then the sliding layers'; scaling is for the global ones. */
function ropes(c: Config): RopeSpec[] {
  const read = (from: Partial<RopeConfig>, theta: number): RopeSpec =>
    readRope(
      { max_position_embeddings: c.max_position_embeddings, ...from },
      { family, headDim: c.head_dim, theta },
    )
  if (c.rope_parameters)
    return [
      read({ rope_parameters: c.rope_parameters.full_attention }, c.rope_theta ?? 1e6),
      read({ rope_parameters: c.rope_parameters.sliding_attention }, c.rope_local_base_freq),
    ]
  return [read({ rope_scaling: c.rope_scaling }, c.rope_theta ?? 1e6), read({}, c.rope_local_base_freq)]
}
