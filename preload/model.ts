/** Models as the window sees them: where they come from, what they are made of, what computes them. */
import { z } from 'zod'
import { combinationCertificate } from './certificate'
import { precisions, providerChoices, providers } from './run'
import { floatArray, intArray } from './tensor'

/** Where a model is opened from. `embedded` is storyworld, which comes with the app. */
export const modelLocation = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('embedded') }),
  z.object({ kind: z.literal('path'), path: z.string().min(1).max(4096) }),
])
export type ModelLocation = z.infer<typeof modelLocation>

export const modelSource = z.object({
  location: modelLocation,
  provider: z.enum(providerChoices).default('auto'),
  precision: z.enum(precisions).default('float32'),
  /** Bytes that the engine process may take with this model: blocks that do not fit are loaded when a run needs them. */
  memoryBudget: z.number().int().positive().nullable().default(null),
})
export type ModelSource = z.infer<typeof modelSource>
export type ModelSourceInput = z.input<typeof modelSource>

/** An open model. Made of fingerprint, provider, precision and memory budget, so it means the same after the engine restarted. */
export const modelHandle = z.string().min(1).max(200)
export type ModelHandle = z.infer<typeof modelHandle>

export const providerReport = z.object({
  provider: z.enum(providers),
  available: z.boolean(),
  /** Worst relative error of the self-test against the CPU; null before it ran. */
  selfTestError: z.number().nullable(),
  reason: z.string().nullable(),
})
export type ProviderReport = z.infer<typeof providerReport>

export const hookPointInfo = z.object({
  name: z.string(),
  layer: z.number().int().nullable(),
  site: z.string(),
  /** Shape in symbols, and with this model's numbers where they are fixed (null for batch and positions). */
  dims: z.array(z.string()),
  sizes: z.array(z.number().int().nullable()),
  meaning: z.string(),
})
export type HookPointInfo = z.infer<typeof hookPointInfo>

export const parameterInfo = z.object({
  name: z.string(),
  layer: z.number().int().nullable(),
  shape: z.array(z.number().int()),
  /** As stored in the file: F32, BF16, Q4_1, … */
  storage: z.string(),
  bytes: z.number(),
})
export type ParameterInfo = z.infer<typeof parameterInfo>

export const modelDescription = z.object({
  handle: modelHandle,
  source: modelSource,
  fingerprint: z.string(),
  name: z.string(),
  family: z.string(),
  format: z.enum(['safetensors', 'gguf', 'onnx']),
  precision: z.enum(precisions),
  provider: z.enum(providers),
  /** Why another provider than the chosen one computes, where that is so. */
  providerNote: z.string().nullable(),
  layers: z.number().int(),
  dModel: z.number().int(),
  heads: z.number().int(),
  kvHeads: z.number().int(),
  dHead: z.number().int(),
  dMlp: z.number().int(),
  vocab: z.number().int(),
  contextLength: z.number().int(),
  parameterCount: z.number(),
  /** Facts about the architecture in the field's words: norm, positions, activation, … */
  traits: z.array(z.object({ label: z.string(), value: z.string() })),
  hasChatTemplate: z.boolean(),
  tokenizerHash: z.string(),
  templateHash: z.string().nullable(),
  bosNote: z.string(),
  hookPoints: z.array(hookPointInfo),
  parameters: z.array(parameterInfo),
  warnings: z.array(z.string()),
})
export type ModelDescription = z.infer<typeof modelDescription>

/** Warning of a model that came without a tokenizer. */
export const noTokenizer = 'This model has no tokenizer: the prompt is read as token ids.'

/** Whether its texts are token ids in decimal. */
export const takesIds = ({ warnings }: Pick<ModelDescription, 'warnings'>): boolean =>
  warnings.includes(noTokenizer)

export const libraryEntry = z.object({
  id: z.string(),
  name: z.string(),
  location: modelLocation,
  family: z.string(),
  format: z.enum(['safetensors', 'gguf', 'onnx']),
  fingerprint: z.string(),
  parameterCount: z.number(),
  lastOpened: z.string(),
  /** False where the file is gone; the entry stays until it is forgotten. */
  present: z.boolean(),
  /** What is known of its numbers on each provider and in each precision; none where they were never checked. */
  certificates: z.array(combinationCertificate).optional(),
})
export type LibraryEntry = z.infer<typeof libraryEntry>

export const weightStatistics = z.object({
  name: z.string(),
  shape: z.array(z.number().int()),
  count: z.number(),
  mean: z.number(),
  standardDeviation: z.number(),
  minimum: z.number(),
  maximum: z.number(),
  frobeniusNorm: z.number(),
  zeros: z.number(),
  notFinite: z.number(),
  histogram: z.object({ edges: floatArray, counts: intArray }),
})
export type WeightStatistics = z.infer<typeof weightStatistics>
