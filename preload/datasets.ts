/**
 * Data sets: rows of text from a file or folder, as a model gets them. A row keeps its number in the source, so that what
 * could not be used is named and nothing is dropped without a word.
 */
import { z } from 'zod'
import { modelHandle } from './model'
import { bosPolicies, encodedToken } from './prompt'
import { wireError } from './errors'

const index = z.number().int().nonnegative()
const count = z.number().int().positive()
const column = z.string().min(1).max(1000)

/**
 * - jsonl: an object, or a string, a line; also a JSON array of them
 * - csv, tsv: first line names the columns
 * - parquet: as written by Hugging Face's `datasets`, pandas, DuckDB; nested columns become JSON
 * - arrow: as `datasets` saves to disk (IPC streams), and Feather files
 * - lines, paragraphs (parted by empty lines), document: plain text in the column `text`
 * - folder: each text file below it is a row with the columns `text`, `file`; of a folder that holds data files of one
 *   of the other kinds (a downloaded data set) their rows, one file after the other
 */
export const datasetFormats = [
  'jsonl',
  'csv',
  'tsv',
  'parquet',
  'arrow',
  'lines',
  'paragraphs',
  'document',
  'folder',
] as const
export type DatasetFormat = (typeof datasetFormats)[number]

/** A value of a row: what is nested is JSON text. Hostile text. */
export const cell = z.union([z.string(), z.number(), z.boolean(), z.null()])
export type Cell = z.infer<typeof cell>

export const datasetSource = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('file'),
    path: z.string().min(1).max(4096),
    /** By the file's name and first bytes unless given. */
    format: z.enum(datasetFormats).optional(),
  }),
  /** Rows as they are, pasted or made by a view. */
  z.object({ kind: z.literal('rows'), rows: z.array(z.record(column, cell)).max(100_000) }),
])
export type DatasetSource = z.infer<typeof datasetSource>

/** Text with `{{column}}` in it; `{{{{` is two braces. */
const template = z.string().min(1).max(100_000)

/** How a row becomes a prompt. Values are put in as they are: a value never is a template. */
export const rowPrompt = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('column'), column }),
  z.object({ kind: z.literal('template'), template }),
  /** Through the model's chat template; `content` is a template of the row. */
  z.object({
    kind: z.literal('chat'),
    messages: z
      .array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: template }))
      .min(1)
      .max(100),
    addGenerationPrompt: z.boolean().default(true),
  }),
  /** A column that holds a chat as JSON: [{role, content}, …]. */
  z.object({ kind: z.literal('messages'), column, addGenerationPrompt: z.boolean().default(true) }),
  /** A column that holds token ids as JSON. */
  z.object({ kind: z.literal('tokens'), column }),
])
export type RowPrompt = z.infer<typeof rowPrompt>

/** What a span of positions is found by: a column whose value stands in the prompt, or marks that are taken out of it. */
export const spanRule = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('column'), column, occurrence: z.enum(['first', 'last']).default('last') }),
  z.object({ kind: z.literal('marks'), open: z.string().min(1).max(20), close: z.string().min(1).max(20) }),
])
export type SpanRule = z.infer<typeof spanRule>

export const datasetSpec = z.object({
  source: datasetSource,
  prompt: rowPrompt,
  bos: z.enum(bosPolicies).default('model'),
  /** Column with what a row is: classes to colour and group by. */
  label: column.nullable().default(null),
  span: spanRule.nullable().default(null),
  /** Rows longer than this (the model's context unless given) lose tokens at that side, never the ones before the text. */
  maxTokens: count.nullable().default(null),
  truncate: z.enum(['left', 'right', 'refuse']).default('right'),
  /** Rows with the same tokens as an earlier one are left out, and counted. */
  deduplicate: z.boolean().default(false),
  /** Rows of the source that are used: from `skip` on, at most `limit`, or as many drawn at random with this seed. */
  skip: index.default(0),
  limit: count.nullable().default(null),
  sample: z.object({ seed: index }).nullable().default(null),
})
export type DatasetSpec = z.infer<typeof datasetSpec>
export type DatasetSpecInput = z.input<typeof datasetSpec>

/** A row that can not be used, and why; `row` counts from 0 in the source. */
export const rowFailure = z.object({ row: index, error: wireError })
export type RowFailure = z.infer<typeof rowFailure>

export const datasetColumn = z.object({
  name: z.string(),
  /** Of the rows that were looked at. */
  type: z.enum(['text', 'number', 'boolean', 'json', 'mixed', 'empty']),
  empty: index,
  /** How many different values, where they are few. */
  distinct: index.nullable(),
  examples: z.array(z.string()),
})
export type DatasetColumn = z.infer<typeof datasetColumn>

export const datasetReport = z.object({
  format: z.enum([...datasetFormats, 'rows']),
  /** Files that were read, with their bytes. */
  files: z.array(z.object({ path: z.string(), bytes: index })),
  columns: z.array(datasetColumn),
  /** Null where only the beginning was looked at. */
  rows: index.nullable(),
  head: z.array(z.record(z.string(), cell)),
  /** The first rows of the beginning that can not be read. */
  failures: z.array(rowFailure),
  /** A guess of prompt and label, to begin with. */
  suggested: z.object({ prompt: rowPrompt.nullable(), label: z.string().nullable() }),
})
export type DatasetReport = z.infer<typeof datasetReport>

/** A row as the model gets it. */
export const preparedRow = z.object({
  row: index,
  tokens: z.array(encodedToken),
  label: z.string().nullable(),
  /** Positions [from, to) of the span; null where none is asked for. */
  span: z.tuple([index, index]).nullable(),
  /** Tokens that were cut off. */
  truncated: index,
  notes: z.array(z.string()),
})
export type PreparedRow = z.infer<typeof preparedRow>

export const datasetCalls = {
  /** Looks at the beginning of a data set. @throws `file.missing`, `file.malformed` naming the line, `file.unsupported` */
  'datasets.inspect': {
    input: z.object({ source: datasetSource }),
    output: datasetReport,
    progress: z.null(),
  },
  /** The exact tokens of some rows. */
  'datasets.preview': {
    input: z.object({
      model: modelHandle,
      dataset: datasetSpec,
      offset: index.default(0),
      count: count.max(100).default(10),
    }),
    output: z.object({ rows: z.array(preparedRow), failures: z.array(rowFailure) }),
    progress: z.null(),
  },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>
