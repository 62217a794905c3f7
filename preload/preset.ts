/**
 * Steering presets: a file that says everything needed to apply a steering vector again and get the same numbers.
 * One JSON file a preset; the vectors lie beside it as safetensors, named by their sha256.
 */
import { z } from 'zod'
import { bosPolicies } from './prompt'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** How a vector is scaled before `strength` multiplies it. */
export const normPolicies = ['as-is', 'unit', 'relative'] as const
export type NormPolicy = (typeof normPolicies)[number]

export const presetOperations = ['add', 'remove', 'clamp'] as const

export const presetVector = z.strictObject({
  /** File name in the folder `vectors` beside the presets; never a path. */
  file: z.string().regex(/^[0-9a-f]{64}\.safetensors$/),
  sha256,
  /** Name of the tensor in that file, float32 [d_model]. */
  tensor: z.string().min(1).max(200),
  /** L2 norm of the vector as stored. */
  norm: z.number().positive(),
})

export const presetSite = z.strictObject({
  hook: z.string().min(1).max(200),
  /** add: x + s·v. remove: x − s·(x·d̂)d̂. clamp: x + (target·s − x·d̂)d̂; with s the strength. */
  operation: z.enum(presetOperations),
  target: z.number().default(0),
  vector: presetVector,
  positions: z.union([
    z.enum(['all', 'prompt', 'generated']),
    z.array(z.number().int().nonnegative()).min(1),
  ]),
})
export type PresetSite = z.infer<typeof presetSite>

export const preset = z.strictObject({
  format: z.literal('patchbay.preset'),
  version: z.literal(1),
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,79}$/),
  name: z.string().min(1).max(200),
  author: z.string().max(200),
  created: z.iso.datetime(),
  /** The author's note: what it does, how it was made, where it fails. */
  note: z.string().max(20_000),
  model: z.strictObject({
    fingerprint: sha256,
    name: z.string().max(300),
    family: z.string().max(100),
    tokenizerHash: sha256,
    templateHash: sha256.nullable(),
  }),
  sites: z.array(presetSite).min(1).max(256),
  strength: z.strictObject({ default: z.number(), minimum: z.number(), maximum: z.number() }),
  /** as-is: the vector as stored. unit: scaled to length 1. relative: to the residual norm measured when it was made. */
  norm: z.strictObject({ policy: z.enum(normPolicies), residualNorm: z.number().positive().nullable() }),
  /** How prompts are made for it; a prompt encoded otherwise is another experiment. */
  prompting: z.strictObject({ bos: z.enum(bosPolicies), template: z.enum(['none', 'chat']) }),
  origin: z.strictObject({
    /** optimised: trained to make given continuations likelier, others less likely. */
    method: z.enum(['mean-difference', 'optimised', 'imported']),
    /** Contrast pairs; of an optimised vector, prompts with their continuations. */
    pairs: z.number().int().nonnegative(),
    /** sha256 of the canonical JSON of them. */
    pairsHash: sha256.nullable(),
    position: z.enum(['last', 'mean']).nullable(),
  }),
  /** A prompt that shows what it does. */
  example: z.string().max(10_000).nullable(),
})
export type Preset = z.infer<typeof preset>

export const contrastPair = z.object({
  positive: z.string().min(1).max(100_000),
  negative: z.string().min(1).max(100_000),
})
export type ContrastPair = z.infer<typeof contrastPair>
