/**
 * The texts of a dictionary's training: read, cut into rows of tokens, a tenth held out. The rows are kept in the job's
 * folder, so that a resumed job trains on the same ones even where the file has changed.
 */
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import { tokenIds } from '../../../preload/run'
import type { DictionaryJob } from '../../../preload/training'
import { writeWhole } from '../../files/durable-file'
import { throwIfCancelled } from '../../runtime/cancelled'
import type { JobModel } from './job-model'

/** Rows of token ids. */
const textRows = z.object({ training: z.array(tokenIds), heldOut: z.array(tokenIds) })
export type TextRows = z.infer<typeof textRows>

const rowsFile = 'texts.json'
const mostBytes = 256 * 2 ** 20

/** @throws PatchbayError `input.invalid` where there are too few texts, `file.missing`, `file.malformed` */
export async function rowsOfTexts(
  model: JobModel,
  input: DictionaryJob,
  folder: string,
  signal: AbortSignal,
): Promise<TextRows> {
  const file = path.join(folder, rowsFile)
  const kept = await readRows(file)
  if (kept !== null) return kept
  const texts = input.texts.kind === 'texts' ? input.texts.texts : await textsOfFile(input.texts.path)
  const context = Math.min(input.context, model.facts.contextLength)
  const rows: number[][] = []
  for (const text of texts) {
    throwIfCancelled(signal)
    rows.push(...(await piecesOf(model, text, context, signal)))
  }
  // Every text needs a position to train on, and a next token to judge by.
  const usable = rows.filter((row) => row.length >= Math.max(2, input.firstPosition + 1))
  if (usable.length < 2)
    throw new PatchbayError(
      'input.invalid',
      usable.length === 0
        ? 'There are no texts to train a dictionary on.'
        : 'There is one text only: none is left to judge the dictionary by.',
      { field: 'texts', next: 'Give more texts.' },
    )
  // Every tenth one, so that both parts are of the same kind where the texts are sorted.
  const isHeldOut = (i: number): boolean => i % 10 === 9 || (usable.length < 10 && i === usable.length - 1)
  const split: TextRows = {
    training: usable.filter((_, i) => !isHeldOut(i)),
    heldOut: usable.filter((_, i) => isHeldOut(i)),
  }
  await writeWhole(file, JSON.stringify(split))
  return split
}

/** A text in pieces of at most `context` tokens. Encoded a stretch at a time: a model's limit is on prompts, not on texts. */
async function piecesOf(
  model: JobModel,
  text: string,
  context: number,
  signal: AbortSignal,
): Promise<number[][]> {
  const pieces: number[][] = []
  // A token has at least one character in the texts that matter; where not, the encoder says that it is too long.
  for (let start = 0; start < text.length; start += model.facts.contextLength) {
    const stretch = text.slice(start, start + model.facts.contextLength)
    if (stretch.trim() === '') continue
    const { tokens } = await model.encode({ kind: 'text', text: stretch, bos: 'model' }, signal)
    const ids = tokens.map(({ id }) => id)
    for (let at = 0; at < ids.length; at += context) pieces.push(ids.slice(at, at + context))
  }
  return pieces
}

const line = z.union([z.string(), z.object({ text: z.string() }).transform(({ text }) => text)])

async function textsOfFile(file: string): Promise<string[]> {
  let text: string
  try {
    if ((await stat(file)).size > mostBytes)
      throw new PatchbayError('input.invalid', `The file is larger than ${mostBytes / 2 ** 20} MB.`, {
        file,
        next: 'Give a part of it.',
      })
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (error) {
    if (error instanceof TypeError)
      throw new PatchbayError('file.malformed', 'The file is not UTF-8 text.', {
        file,
        next: 'Save it as UTF-8.',
        cause: error,
      })
    throw asPatchbayError(error)
  }
  const lines = text.split(/\r?\n/)
  if (!file.endsWith('.jsonl')) return lines.filter((each) => each.trim() !== '')
  return lines.flatMap((each, i) => {
    if (each.trim() === '') return []
    const parsed = line.safeParse(jsonOrUndefined(each))
    if (parsed.success) return [parsed.data]
    throw new PatchbayError('file.malformed', `Line ${i + 1} is neither a JSON string nor {"text": …}.`, {
      file,
      field: `line ${i + 1}`,
      next: 'Correct it and start again.',
    })
  })
}

async function readRows(file: string): Promise<TextRows | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const problem = asPatchbayError(error)
    if (problem.code === 'file.missing') return null
    throw problem
  }
  const parsed = textRows.safeParse(jsonOrUndefined(text))
  if (parsed.success) return parsed.data
  throw new PatchbayError('file.malformed', 'The texts that the job kept are damaged.', {
    file,
    next: 'Start a new job.',
  })
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // fails the schema, which is what the caller reports
  }
}
