/**
 * Collections: what was extracted from a data set (see extraction.ts), and what one does with it: looking at rows, maps of
 * them, neighbours, contexts that activate something most, queries, exports. An *output* is named by its hook point,
 * positions and reduction, as `hook[positions]{reduction}` (see main/collections). Rows count from 0 in the collection.
 */
import { z } from 'zod'
import { datasetSpec, rowFailure, cell } from './datasets'
import { extractOutput, storedTypes } from './extraction'
import { provenance } from './run'
import { floatArray, floatTensor, intArray } from './tensor'
import { tokenInfo } from './prompt'

const index = z.number().int().nonnegative()
const count = z.number().int().positive()
const id = z.string().regex(/^[0-9a-z][0-9a-z-]{0,99}$/)
const outputName = z.string().min(1).max(1500)

export const collectionOutput = z.object({
  name: outputName,
  hook: z.string(),
  asked: extractOutput,
  dtype: z.enum(storedTypes),
  /** Axes of a row's values, for example ['pos', 'd_model']; sizes are null where they depend on the row. */
  dims: z.array(z.string()),
  sizes: z.array(index.nullable()),
  /** The largest relative error that storing made. */
  error: z.number(),
})
export type CollectionOutput = z.infer<typeof collectionOutput>

export const collectionSummary = z.object({
  id,
  name: z.string(),
  note: z.string(),
  created: z.string(),
  modelName: z.string(),
  fingerprint: z.string(),
  rows: index,
  tokens: index,
  bytes: index,
  pinned: z.boolean(),
  /** False while its job is not done: rows without values are missing, not zero. */
  complete: z.boolean(),
})
export type CollectionSummary = z.infer<typeof collectionSummary>

export const collection = collectionSummary.extend({
  provenance: provenance.omit({ requestHash: true }),
  dataset: datasetSpec,
  outputs: z.array(collectionOutput),
  /** Columns of the table: of the data set, and what was added (tokens, label, one number a row of outputs that have one). */
  columns: z.array(
    z.object({
      name: z.string(),
      type: z.enum(['text', 'number', 'boolean']),
      from: z.enum(['data', 'row', 'output']),
    }),
  ),
  labels: z.array(z.object({ label: z.string(), rows: index })),
  failures: z.array(rowFailure),
  duplicates: index,
})
export type Collection = z.infer<typeof collection>

/**
 * An expression in SQLite's language as behind WHERE; empty for all rows. Columns: `row` (counted in the collection), `source`,
 * `label`, `text`, `tokens`, those of the data set, and those of outputs (see `collection.columns`). Long enough to name 100,000
 * rows: `row IN (…)` is how a view asks for what was brushed in a picture.
 */
const filter = z.string().max(1_000_000).default('')

export const collectionRow = z.object({
  row: index,
  /** Row in the data set's source. */
  source: index,
  label: z.string().nullable(),
  text: z.string(),
  tokens: index,
  cells: z.record(z.string(), cell),
  /** Whether all of its values are there. */
  present: z.boolean(),
})
export type CollectionRow = z.infer<typeof collectionRow>

/** Which vector of each row: one position (negative from the end), or the mean over them. */
const vectorOf = {
  output: outputName,
  position: z.union([z.number().int(), z.literal('mean')]).default(-1),
}

/** What is looked for along an output's last axis, one number a position. */
export const searchTarget = z.discriminatedUnion('kind', [
  /** A neuron, dimension, projection or kept feature, by its index on the last axis. */
  z.object({ kind: z.literal('unit'), unit: index, head: index.optional() }),
  /** L2 norm of a head's vector (outputs with a head axis). */
  z.object({ kind: z.literal('head'), head: index }),
  /** A direction over the last axis (or head and last axis), as it is: x · direction. */
  z.object({ kind: z.literal('direction'), direction: floatTensor }),
  z.object({ kind: z.literal('preset'), id: z.string().min(1).max(200) }),
  /** A feature of a SAELens dictionary at this hook point. */
  z.object({ kind: z.literal('feature'), folder: z.string().min(1).max(4096), feature: index }),
])
export type SearchTarget = z.infer<typeof searchTarget>

/** A position in a row with its value, and the tokens around it with theirs. */
export const context = z.object({
  /** Of rows with the same text, the first of those with the most extreme value. */
  row: index,
  /** Searched rows with the same tokens around such a position, this one among them. */
  inRows: index,
  position: index,
  value: z.number(),
  label: z.string().nullable(),
  /** First position of the window. */
  start: index,
  tokens: z.array(tokenInfo.pick({ id: true, text: true, special: true })),
  values: floatArray,
})
export type Context = z.infer<typeof context>

export const searchResult = z.object({
  /** Of the target, in words. */
  what: z.string(),
  positions: index,
  rows: index,
  mean: z.number(),
  standardDeviation: z.number(),
  /** Share of positions with a value above 0. */
  active: z.number(),
  histogram: z.object({ edges: floatArray, counts: intArray }),
  top: z.array(context),
  bottom: z.array(context),
  /** Samples between quantiles: for each interval some contexts drawn with a seed. */
  quantiles: z.array(z.object({ from: z.number(), to: z.number(), contexts: z.array(context) })),
  /** Mean value by label. */
  byLabel: z.array(z.object({ label: z.string(), mean: z.number(), max: z.number(), positions: index })),
  /** Tokens by their mean value, the highest first. */
  tokens: z.array(
    z.object({
      token: tokenInfo.pick({ id: true, text: true, special: true }),
      mean: z.number(),
      count: index,
    }),
  ),
})
export type SearchResult = z.infer<typeof searchResult>

const searchInput = z.object({
  id,
  output: outputName,
  target: searchTarget,
  filter,
  count: count.max(200).default(20),
  /** Contexts of each quantile interval. */
  perQuantile: index.max(50).default(5),
  /** Tokens before and behind the position. */
  window: z.tuple([index.max(500), index.max(500)]).default([20, 10]),
  /** At most one context of each row. */
  distinctRows: z.boolean().default(true),
  seed: index.default(0),
})

export const collectionExports = ['safetensors', 'npy', 'npz', 'parquet', 'arrow', 'zarr', 'csv'] as const
export type CollectionExport = (typeof collectionExports)[number]
/**
 * Type of the numbers of an export: float32, or float16 and bfloat16 as they are stored, where the format has them (bfloat16:
 * safetensors only). The default is float32, since sums and squares of float16 overflow in NumPy.
 */
export const exportTypes = ['float32', 'stored'] as const
export type ExportType = (typeof exportTypes)[number]

const one = z.object({ id })
const progress = z.object({ done: index, total: index })

export const collectionCalls = {
  'collections.list': { input: z.object({}), output: z.array(collectionSummary), progress: z.null() },
  'collections.describe': { input: one, output: collection, progress: z.null() },
  'collections.label': {
    input: one.extend({
      name: z.string().min(1).max(200).optional(),
      note: z.string().max(20_000).optional(),
      pinned: z.boolean().optional(),
    }),
    output: collectionSummary,
    progress: z.null(),
  },
  'collections.remove': { input: one, output: z.object({}), progress: z.null() },

  /** A page of the table. @throws `input.invalid` with what SQLite says of the filter */
  'collections.rows': {
    input: one.extend({
      filter,
      sort: z
        .object({ column: z.string().max(1000), descending: z.boolean() })
        .nullable()
        .default(null),
      offset: index.default(0),
      count: count.max(1000).default(100),
    }),
    output: z.object({ rows: z.array(collectionRow), total: index }),
    progress: z.null(),
  },
  /** A SELECT over the table `rows`; nothing but what is in it can be read, nothing changed. */
  'collections.query': {
    input: one.extend({ sql: z.string().min(1).max(100_000), limit: count.max(100_000).default(1000) }),
    output: z.object({
      columns: z.array(z.string()),
      rows: z.array(z.array(cell)),
      /** Whether there were more than the limit. */
      more: z.boolean(),
      seconds: z.number(),
    }),
    progress: z.null(),
  },
  /** The values of one row at one output: tokens with norms, and the values themselves where they are few. */
  'collections.tokens': {
    input: one.extend({ row: index, output: outputName }),
    output: z.object({
      tokens: z.array(tokenInfo),
      /** Positions of the row that the values are of. */
      positions: intArray,
      norms: floatArray,
      values: floatTensor.nullable(),
      dims: z.array(z.string()),
    }),
    progress: z.null(),
  },
  /** Norms of each row (the chosen vector's) at several outputs: [row, output]. */
  'collections.norms': {
    input: one.extend({ outputs: z.array(outputName).min(1).max(1000), position: vectorOf.position, filter }),
    output: z.object({ rows: intArray, norms: floatTensor }),
    progress,
  },
  /** Rows on a plane. PCA: components by explained variance. UMAP (McInnes et al. 2018): from the first 50 of these. */
  'collections.scatter': {
    input: one.extend({
      ...vectorOf,
      filter,
      method: z.enum(['pca', 'umap']).default('pca'),
      /** UMAP's. */
      neighbours: count.min(2).max(200).default(15),
      minDistance: z.number().min(0).max(1).default(0.1),
      seed: index.default(0),
    }),
    output: z.object({
      rows: intArray,
      points: floatTensor, // [row, 2]
      /** Shares of the variance of the components; of PCA only. */
      explained: z.array(z.number()),
      notes: z.array(z.string()),
    }),
    progress,
  },
  /** The rows whose vector is nearest to one row's. */
  'collections.neighbours': {
    input: one.extend({
      ...vectorOf,
      row: index,
      filter,
      metric: z.enum(['cosine', 'euclidean', 'dot']).default('cosine'),
      count: count.max(1000).default(20),
    }),
    output: z.object({ rows: intArray, values: floatArray }),
    progress,
  },
  /** Mean cosine between the vectors of a row at each two of the outputs (as large as each other), over rows. */
  'collections.cosines': {
    input: one.extend({ outputs: z.array(outputName).min(2).max(200), position: vectorOf.position, filter }),
    output: z.object({ cosines: floatTensor }), // [output, output]
    progress,
  },
  /** Dimensions that stand out: mean, deviation, largest |x|, and its share of the squared norm, worst first. */
  'collections.outliers': {
    input: one.extend({ output: outputName, filter, count: count.max(1000).default(50) }),
    output: z.object({
      dimensions: z.array(
        z.object({
          dimension: index,
          mean: z.number(),
          standardDeviation: z.number(),
          largest: z.number(),
          share: z.number(),
          /** The row and position of the largest. */
          row: index,
          position: index,
        }),
      ),
      width: index,
      positions: index,
    }),
    progress,
  },
  'collections.search': { input: searchInput, output: searchResult, progress },
  /** The search as one HTML file that needs nothing else; text is text in it. */
  'collections.page': {
    input: searchInput.extend({ title: z.string().max(200).default('') }),
    output: z.object({ name: z.string(), html: z.string() }),
    progress,
  },
  /** Writes files into a new folder, whole or not at all, with a Python program that loads them. */
  'collections.export': {
    input: one.extend({
      outputs: z.array(outputName).min(1).max(1000),
      filter,
      format: z.enum(collectionExports),
      dtype: z.enum(exportTypes).default('float32'),
      folder: z.string().min(1).max(4096),
    }),
    output: z.object({
      files: z.array(z.object({ name: z.string(), bytes: index })),
      python: z.string(),
    }),
    progress,
  },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>
