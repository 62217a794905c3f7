/**
 * The texts of a dictionary's training: read, cut into rows of tokens, a tenth held out. The rows are kept in the job's
 * folder, so that a resumed job trains on the same ones even where the file has changed.
 */
import path from 'node:path'
import { z } from 'zod'
import type { DatasetSource } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { tokenIds } from '../../../preload/run'
import type { DictionaryJob } from '../../../preload/training'
import { inspectSource, readRows } from '../../datasets'
import { writeWhole } from '../../files/durable-file'
import { quoted } from '../../models/formats/malformed'
import { throwIfCancelled } from '../../runtime/cancelled'
import { promptFor } from '../../steering/from-pairs'
import type { JobModel } from './job-model'
import { readKept } from './kept-rows'

/** Rows of token ids. */
const textRows = z.object({ training: z.array(tokenIds), heldOut: z.array(tokenIds) })
export type TextRows = z.infer<typeof textRows>

/** What turns texts into tokens. */
interface TextModel extends Pick<JobModel, 'encode'> {
  readonly facts: Pick<JobModel['facts'], 'contextLength'>
}

const rowsFile = 'texts.json'
/** UTF-16 units of all texts of a file: their tokens are held in memory. */
const mostText = 250e6

/** @throws PatchbayError `input.invalid` where there are too few texts, `file.missing`, `file.malformed` */
export async function rowsOfTexts(
  model: TextModel,
  input: DictionaryJob,
  folder: string,
  signal: AbortSignal,
): Promise<TextRows> {
  const file = path.join(folder, rowsFile)
  const kept = await readKept(file, textRows, 'texts')
  if (kept !== null) return kept
  const texts = input.texts.kind === 'texts' ? input.texts.texts : textsOfFile(input.texts.path, signal)
  const context = Math.min(input.context, model.facts.contextLength)
  const rows: number[][] = []
  for await (const text of texts) {
    throwIfCancelled(signal)
    rows.push(...(await piecesOf(model, text, input, context, signal)))
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
  model: TextModel,
  text: string,
  prompting: Pick<DictionaryJob, 'bos' | 'template'>,
  context: number,
  signal: AbortSignal,
): Promise<number[][]> {
  const pieces: number[][] = []
  // A token has at least one character in the texts that matter; where not, the encoder says that it is too long.
  for (let start = 0; start < text.length; start += model.facts.contextLength) {
    const stretch = text.slice(start, start + model.facts.contextLength)
    if (stretch.trim() === '') continue
    const { tokens } = await model.encode(promptFor(stretch, prompting), signal)
    const ids = tokens.map(({ id }) => id)
    for (let at = 0; at < ids.length; at += context) pieces.push(ids.slice(at, at + context))
  }
  return pieces
}

/** The texts of a data set, one after the other. A row without one ends it: a dictionary is not trained on less than asked. */
async function* textsOfFile(file: string, signal: AbortSignal): AsyncGenerator<string> {
  const source = { kind: 'file', path: file } as const
  const column = await textColumn(source, signal)
  let length = 0
  for await (const { row, cells } of readRows(source, { signal })) {
    const text = Object.hasOwn(cells, column) ? cells[column] : null
    if (typeof text !== 'string')
      throw new PatchbayError('file.malformed', `Row ${row} has no text in its column ${quoted(column)}.`, {
        file,
        field: `row ${row}`,
        next: 'Correct it and start again.',
      })
    length += text.length
    if (length > mostText)
      throw new PatchbayError(
        'input.invalid',
        `The texts are longer than ${mostText / 1e6} million characters.`,
        {
          file,
          next: 'Give a part of them.',
        },
      )
    yield text
  }
}

async function textColumn(source: DatasetSource & { kind: 'file' }, signal: AbortSignal): Promise<string> {
  const { columns, suggested, rows } = await inspectSource(source, { signal })
  if (rows === 0 || columns.some(({ name }) => name === 'text')) return 'text'
  if (suggested.prompt?.kind === 'column') return suggested.prompt.column
  throw new PatchbayError('input.invalid', 'The file has no column of texts.', {
    file: source.path,
    next: 'Give one with a column `text`.',
  })
}
