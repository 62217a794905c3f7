/** The sizes that most families' config.json gives under the same names, and which layers slide. */
import { z } from 'zod'
import { count, layerTypes, unsupported } from './config'
import { contextLengthOf, ropeKeys, type RopeConfig } from './rope-config'

/** Keys shared by the families that follow Llama's config.json. */
export const sizeKeys = {
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  vocab_size: count,
  ...ropeKeys,
}

interface SizeConfig extends RopeConfig {
  hidden_size: number
  intermediate_size: number
  num_hidden_layers: number
  num_attention_heads: number
  num_key_value_heads?: number | null
  head_dim?: number | null
  vocab_size: number
}

export function sizesOf(c: SizeConfig) {
  return {
    hidden: c.hidden_size,
    intermediate: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads: c.num_attention_heads,
    kvHeads: c.num_key_value_heads ?? c.num_attention_heads,
    headDim: c.head_dim ?? Math.floor(c.hidden_size / c.num_attention_heads),
    vocab: c.vocab_size,
    contextLength: contextLengthOf(c),
  }
}

/** Keys of the families that say for each layer whether it slides. */
export const slidingKeys = {
  sliding_window: count.nullish(),
  layer_types: layerTypes,
  use_sliding_window: z.boolean().default(false),
}

/**
 * Whether a layer slides: by `layer_types` where the file has it, else by the family's rule.
 * @throws PatchbayError `model.unsupported` where `layer_types` has not one entry a layer
 */
export function slidesBy(
  types: readonly string[] | null | undefined,
  layers: number,
  family: string,
  rule: (layer: number) => boolean,
): (layer: number) => boolean {
  if (types === null || types === undefined) return rule
  if (types.length !== layers)
    throw unsupported(family, 'layer_types', `has ${types.length} entries for ${layers} layers`)
  return (layer) => types[layer] === 'sliding_attention'
}
