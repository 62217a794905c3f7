/** The folder of one collection: where its files lie, and reading and writing the two small ones. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { PatchbayError } from '../../preload/errors'
import { writeWhole } from '../files/durable-file'
import { malformed, readFailure } from '../models/formats/malformed'
import { labelFile, manifest, VERSION, type CollectionLabel, type Manifest } from './schema'

export const pathsOf = (folder: string) => ({
  /** Written last when a collection is made: a folder without it is none. */
  manifest: path.join(folder, 'collection.json'),
  label: path.join(folder, 'label.json'),
  rows: path.join(folder, 'rows.jsonl'),
  tokens: path.join(folder, 'tokens.jsonl'),
})

/** Larger than any list of failures that is still read by anyone. */
const MAX_BYTES = 256 << 20

/** @throws PatchbayError `file.missing`, `file.malformed` also for a later version */
export async function readManifest(folder: string): Promise<Manifest> {
  const file = pathsOf(folder).manifest
  const json = await readJson(file)
  const head = z.object({ version: z.number() }).safeParse(json)
  if (head.success && head.data.version > VERSION)
    throw new PatchbayError(
      'file.malformed',
      `The collection ${path.basename(folder)} was made by a later Patchbay (format ${head.data.version}).`,
      { file, next: 'Open it with that version; it was left as it is.' },
    )
  const content = check(manifest, json, file)
  if (content.id !== path.basename(folder))
    throw malformed(file, 'has another id than its folder', { field: 'id' })
  return content
}

export const writeManifest = (folder: string, content: Manifest): Promise<void> =>
  writeWhole(pathsOf(folder).manifest, `${JSON.stringify(content)}\n`)

export async function readLabel(folder: string): Promise<CollectionLabel> {
  const file = pathsOf(folder).label
  return check(labelFile, await readJson(file), file)
}

export const writeLabel = (folder: string, label: CollectionLabel): Promise<void> =>
  writeWhole(pathsOf(folder).label, `${JSON.stringify(label)}\n`)

async function readJson(file: string): Promise<unknown> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (error) {
    throw readFailure(file, error)
  }
  if (bytes.length > MAX_BYTES) throw malformed(file, `is larger than ${MAX_BYTES >> 20} MB`)
  try {
    return JSON.parse(bytes.toString())
  } catch (cause) {
    throw malformed(file, 'is not JSON', { cause, next })
  }
}

const next = 'Remove the collection and extract it again.'

function check<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const field = parsed.error.issues[0].path.map(String).join('.')
  throw malformed(file, `${field === '' ? 'it' : field} is not what belongs there`, {
    field,
    cause: parsed.error,
    next,
  })
}
