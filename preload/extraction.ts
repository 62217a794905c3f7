/**
 * Extraction: the activations of a data set, computed once and kept. A job of the kind `extract` makes a *collection*: the
 * rows with what is known of them, and for each of its outputs the values of every row, in the activation store.
 */
import { z } from 'zod'
import { datasetSpec, rowFailure } from './datasets'
import { modelHandle, modelSource } from './model'

const index = z.number().int().nonnegative()
const count = z.number().int().positive()

/** Positions of a row: negative ones count from its end; span and its ends need a span rule in the data set. */
export const extractPositions = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('all') }),
  z.object({ kind: z.literal('last') }),
  /** Without the tokens that the tokenizer or template put around the text. */
  z.object({ kind: z.literal('text') }),
  z.object({ kind: z.literal('at'), positions: z.array(z.number().int()).min(1).max(4096) }),
  z.object({ kind: z.literal('every'), step: count, from: index.default(0) }),
  /** Positions whose token's text matches. */
  z.object({ kind: z.literal('matching'), pattern: z.string().min(1).max(200) }),
  z.object({ kind: z.literal('span') }),
  /** One position: `offset` behind (or before) the span's first or last token. */
  z.object({
    kind: z.literal('span-offset'),
    from: z.enum(['first', 'last']).default('last'),
    offset: z.number().int().default(0),
  }),
])
export type ExtractPositions = z.infer<typeof extractPositions>

/**
 * What is kept of the selected positions [pos, …]:
 * - none: as they are · mean, max over positions → […] · norm: L2 over the last axis → [pos, …]
 * - projection on directions (rows of a file's tensor [n, d] or a preset's vector) → [pos, n]
 * - top-k of the last axis: values, and indices as an output of their own → [pos, …, k]
 * - features: activations of a dictionary's features, the k largest of each position, as top-k
 */
export const reduction = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('mean') }),
  z.object({ kind: z.literal('max') }),
  z.object({ kind: z.literal('norm') }),
  z.object({
    kind: z.literal('projection'),
    directions: z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('file'),
        path: z.string().min(1).max(4096),
        tensor: z.string().max(1000).optional(),
      }),
      z.object({ kind: z.literal('preset'), id: z.string().min(1).max(200) }),
    ]),
  }),
  z.object({ kind: z.literal('top'), k: count.max(4096) }),
  z.object({
    kind: z.literal('features'),
    folder: z.string().min(1).max(4096),
    k: count.max(4096).default(32),
  }),
])
export type Reduction = z.infer<typeof reduction>

export const storedTypes = ['float32', 'float16', 'bfloat16', 'int8'] as const
export type StoredType = (typeof storedTypes)[number]

/** One thing to extract: hook points by name, alias, or with `*` for every layer (`blocks.*.hook_resid_post`). */
export const extractOutput = z.object({
  hooks: z.array(z.string().min(1).max(1000)).min(1).max(10_000),
  positions: extractPositions.default({ kind: 'all' }),
  reduction: reduction.default({ kind: 'none' }),
  dtype: z.enum(storedTypes).default('float16'),
})
export type ExtractOutput = z.infer<typeof extractOutput>

export const extractInput = z.object({
  name: z.string().min(1).max(200),
  note: z.string().max(20_000).default(''),
  model: modelSource,
  dataset: datasetSpec,
  outputs: z.array(extractOutput).min(1).max(100),
  /**
   * row-major: batches of rows through the whole model. layer-major: all rows through one block after the other, each block
   * loaded once; their residual streams are on disk in between. auto: layer-major where the model does not fit.
   */
  mode: z.enum(['auto', 'row-major', 'layer-major']).default('auto'),
  /** Bytes that the run may take at most, weights included; what is free unless given. */
  memory: count.nullable().default(null),
})
export type ExtractInput = z.input<typeof extractInput>
export type ExtractJob = z.output<typeof extractInput>

export const extractForecast = z.object({
  rows: index,
  failures: z.array(rowFailure),
  duplicates: index,
  tokens: index,
  longest: index,
  /** On disk, of all outputs, without what is there already. */
  bytes: index,
  present: index,
  /** Bytes that may still be stored there. */
  free: index,
  mode: z.enum(['row-major', 'layer-major']),
  /** Why that mode, and what does not fit. */
  notes: z.array(z.string()),
})
export type ExtractForecast = z.infer<typeof extractForecast>

/** What a job of the kind `extract` gives. */
export const extractResult = z.object({
  kind: z.literal('extract'),
  collection: z.string(),
  rows: index,
  failures: index,
  tokens: index,
  tokensPerSecond: z.number(),
  bytes: index,
})
export type ExtractResult = z.infer<typeof extractResult>

export const extractionCalls = {
  /** Reads and tokenises the whole data set, and says what an extraction would take; nothing is run. */
  'extraction.forecast': {
    input: extractInput.extend({ handle: modelHandle }),
    output: extractForecast,
    progress: z.object({ done: index, total: index.nullable() }),
  },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>
