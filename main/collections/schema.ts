/** What a collection's folder says of itself: `collection.json` and the lines of `rows.jsonl` and `tokens.jsonl`. */
import { z } from 'zod'
import { cell, datasetSpec, rowFailure } from '../../preload/datasets'
import { collection, collectionOutput } from '../../preload/collections'

const index = z.number().int().nonnegative()
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const range = z.tuple([index, index])

/** Raised when a folder of this kind comes to mean something else; later ones are refused and left as they are. */
export const VERSION = 1

const lines = z.strictObject({ lines: index, bytes: index, sha256 })
export type LinesFile = z.infer<typeof lines>

/** An output with what its name is made of. */
export const storedOutput = collectionOutput.extend({
  content: sha256.optional(),
  part: z.enum(['values', 'indices']).optional(),
})
export type StoredOutput = z.infer<typeof storedOutput>

export const dataColumn = z.strictObject({ name: z.string(), type: z.enum(['text', 'number', 'boolean']) })

export const manifest = z.strictObject({
  version: z.literal(VERSION),
  id: z.string(),
  created: z.string(),
  provenance: collection.shape.provenance,
  dataset: datasetSpec,
  outputs: z.array(storedOutput),
  columns: z.array(dataColumn),
  labels: collection.shape.labels,
  failures: z.array(rowFailure),
  duplicates: index,
  tokens: index,
  files: z.strictObject({ rows: lines, tokens: lines }),
  complete: z.boolean(),
})
export type Manifest = z.infer<typeof manifest>

/** What a person says of a collection. */
export const labelFile = z.strictObject({ name: z.string().min(1).max(200), note: z.string().max(20_000) })
export type CollectionLabel = z.infer<typeof labelFile>

/** A row as it stands in `rows.jsonl`. */
export const storedRow = z.strictObject({
  /** Row in the data set's source. */
  source: index,
  label: z.string().nullable(),
  text: z.string(),
  tokens: z.array(index).min(1),
  /** Ranges of tokens that are of the text itself. */
  own: z.array(range),
  span: range.nullable(),
  truncated: index,
  cells: z.record(z.string(), cell),
  /** Key of the row's plain request in the activation store. */
  key: sha256,
})
export type StoredRow = z.infer<typeof storedRow>

/** A token that occurs in the rows: id, piece, text, special. */
export const storedToken = z.tuple([index, z.string(), z.string(), z.boolean()])
