/**
 * Rotary settings in both spellings: transformers 4's `rope_theta` + `rope_scaling` (+ `partial_rotary_factor`), and
 * transformers 5's `rope_parameters`, which holds all of it.
 */
import { z } from 'zod'
import type { RopeScaling, RopeSpec } from '../rope'
import { count, positive, unsupported } from './config'

const parameters = z.strictObject({
  rope_type: z.enum(['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope', 'su']).optional(),
  type: z.string().optional(),
  rope_theta: positive.optional(),
  partial_rotary_factor: positive.max(1).optional(),
  factor: positive.nullish(),
  original_max_position_embeddings: count.nullish(),
  low_freq_factor: positive.optional(),
  high_freq_factor: positive.optional(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  attention_factor: positive.nullish(),
  truncate: z.boolean().optional(),
  short_factor: z.array(positive).optional(),
  long_factor: z.array(positive).optional(),
  finetuned: z.boolean().optional(),
})
type Parameters = z.infer<typeof parameters>

/** The keys of a family with one rotary embedding for all layers. */
export const ropeKeys = {
  rope_theta: positive.optional(),
  rope_scaling: parameters.nullish(),
  rope_parameters: parameters.nullish(),
  max_position_embeddings: count,
  original_max_position_embeddings: count.nullish(),
}

export interface RopeConfig {
  rope_theta?: number
  rope_scaling?: Parameters | null
  rope_parameters?: Parameters | null
  partial_rotary_factor?: number | null
  max_position_embeddings: number
  original_max_position_embeddings?: number | null
}

export interface RopeDefaults {
  family: string
  headDim: number
  /** The family's `rope_theta` where the file does not say. */
  theta?: number
  partial?: number
  interleaved?: boolean
}

/** Positions that a model reads: dynamic scaling stretches what it was trained on. */
export function contextLengthOf({ max_position_embeddings: trained, ...c }: RopeConfig): number {
  const found = c.rope_parameters ?? c.rope_scaling ?? {}
  const dynamic = (found.rope_type ?? found.type) === 'dynamic'
  return Math.floor(dynamic ? trained * Math.max(1, found.factor ?? 1) : trained)
}

/** The rotary embedding that a configuration asks for. */
export function readRope(config: RopeConfig, defaults: RopeDefaults): RopeSpec {
  const found = config.rope_parameters ?? config.rope_scaling ?? {}
  const share = found.partial_rotary_factor ?? config.partial_rotary_factor ?? defaults.partial ?? 1
  const dim = Math.floor(defaults.headDim * share)
  if (dim % 2 !== 0)
    throw unsupported(
      defaults.family,
      share === 1 ? 'head_dim' : 'partial_rotary_factor',
      `leaves ${dim} dimensions of a head to rotate, which are no pairs`,
    )
  return {
    base: found.rope_theta ?? config.rope_theta ?? defaults.theta ?? 10000,
    dim,
    interleaved: defaults.interleaved ?? false,
    scaling: readScaling(found, config, defaults.family, dim),
  }
}

function readScaling(found: Parameters, config: RopeConfig, family: string, dim: number): RopeScaling {
  const key = config.rope_parameters ? 'rope_parameters' : 'rope_scaling'
  const need = <T>(value: T | null | undefined, name: string): T => {
    if (value === null || value === undefined) throw unsupported(family, `${key}.${name}`, 'is missing')
    return value
  }
  // early Phi-3 files say "yarn" where they mean LongRoPE
  const given = found.rope_type ?? found.type ?? 'default'
  const kind = given === 'yarn' && found.short_factor !== undefined ? 'longrope' : given
  switch (kind) {
    case 'default':
      return { kind }
    case 'linear':
      return { kind, factor: need(found.factor, 'factor') }
    case 'dynamic':
      return { kind, factor: need(found.factor, 'factor'), originalLength: config.max_position_embeddings }
    case 'llama3':
      return {
        kind,
        factor: need(found.factor, 'factor'),
        lowFrequencyFactor: need(found.low_freq_factor, 'low_freq_factor'),
        highFrequencyFactor: need(found.high_freq_factor, 'high_freq_factor'),
        originalLength: need(found.original_max_position_embeddings, 'original_max_position_embeddings'),
      }
    case 'yarn':
      return readYarn(found, config, need(found.factor ?? ratioOf(found, config), 'factor'))
    case 'longrope':
    case 'su': {
      const shortFactor = need(found.short_factor, 'short_factor')
      const longFactor = need(found.long_factor, 'long_factor')
      for (const [name, factors] of Object.entries({ short_factor: shortFactor, long_factor: longFactor }))
        if (factors.length * 2 !== dim)
          throw unsupported(
            family,
            `${key}.${name}`,
            `has ${factors.length} entries for ${dim / 2} frequencies`,
          )
      return { kind: 'longrope', shortFactor, longFactor, ...longropeLengths(found, config) }
    }
    default:
      throw unsupported(family, `${key}.rope_type`, `is "${kind}", which is not known`)
  }
}

function readYarn(found: Parameters, config: RopeConfig, factor: number): RopeScaling {
  const magnitude = (scale: number, m: number): number => (scale <= 1 ? 1 : 0.1 * m * Math.log(scale) + 1)
  const byScales =
    found.mscale && found.mscale_all_dim
      ? magnitude(factor, found.mscale) / magnitude(factor, found.mscale_all_dim)
      : magnitude(factor, 1)
  return {
    kind: 'yarn',
    factor,
    originalLength: found.original_max_position_embeddings ?? config.max_position_embeddings,
    betaFast: found.beta_fast ?? 32,
    betaSlow: found.beta_slow ?? 1,
    truncate: found.truncate ?? true,
    attentionFactor: found.attention_factor ?? byScales,
  }
}

/** How many times longer than in pre-training the context is, where the file says both lengths. */
function ratioOf(found: Parameters, config: RopeConfig): number | null {
  const original = config.original_max_position_embeddings ?? found.original_max_position_embeddings
  return original ? config.max_position_embeddings / original : null
}

/** The lengths outside the rotary settings (Phi-3) come first: transformers 4 knows no others. */
function longropeLengths(
  found: Parameters,
  config: RopeConfig,
): { originalLength: number; attentionFactor: number } {
  const outside = config.original_max_position_embeddings
  const originalLength = outside ?? found.original_max_position_embeddings ?? config.max_position_embeddings
  const ratio = config.max_position_embeddings / originalLength
  const factor = outside && !config.rope_parameters ? ratio : (found.factor ?? ratio)
  const byFactor = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalLength))
  return { originalLength, attentionFactor: found.attention_factor ?? byFactor }
}
