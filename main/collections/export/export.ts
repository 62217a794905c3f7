/** Exporting a collection: into a new folder, whole or not at all, with what it is and a program that loads it. */
import path from 'node:path'
import type { CollectionExport, ExportType } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import { certificateText } from '../../../preload/certificate'
import { requireSpace, writeWhole } from '../../files/durable-file'
import type { OpenCollection } from '../collection'
import { uniqueNames } from '../columns'
import { writeLines } from '../lines-file'
import { storedRows, type Progress } from '../stream'
import { writeNpy, writeNpz, writeSafetensors } from './arrays'
import { writeArrow } from './arrow'
import { writeCsv } from './csv'
import { layoutOf, sizeOfLayout } from './layout'
import { newFolder, type FolderFile } from './new-folder'
import { writeParquet } from './parquet'
import { hasRowsFile, pythonLoader } from './python'
import type { ExportSubject, NamedLayout } from './subject'
import { tableOf } from './tables'
import { valueBytes } from './value-type'
import { writeZarr } from './zarr'

export interface ExportOptions {
  outputs: readonly string[]
  format: CollectionExport
  dtype: ExportType
  /** Made; nothing may be there. */
  folder: string
  /** The collection's name. */
  name: string
  filter: string
}

/**
 * @param rows all unless given
 * @returns what was written, and the program that loads it from there
 * @throws PatchbayError `input.invalid` for a folder that is there, an output that is not, or one that the format can not hold;
 *   `disk.full`, `disk.failed`, `run.cancelled`
 */
export async function exportCollection(
  collection: OpenCollection,
  options: ExportOptions,
  rows: Int32Array | null,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {},
): Promise<{ files: FolderFile[]; python: string }> {
  const { format, folder } = options
  const names = [...new Set(options.outputs)]
  const chosen = rows ?? Int32Array.from({ length: collection.length }, (_, i) => i)
  if (chosen.length === 0)
    throw new PatchbayError('input.invalid', 'No row fits the filter.', {
      field: 'filter',
      next: 'Set a wider filter.',
    })
  const file = fileNames()
  const outputs: NamedLayout[] = []
  for (const name of names)
    outputs.push({ layout: await layoutOf(collection, name, chosen, options, { signal }), file: file(name) })
  const types = outputs.map(({ layout }) => layout.type)
  const total = chosen.length * outputs.length
  let done = 0
  const files = await newFolder(folder, async (aside) => {
    await requireSpace(path.join(aside, 'values'), estimate(outputs, format))
    const subject: ExportSubject = {
      collection,
      rows: chosen,
      outputs,
      folder: aside,
      signal,
      onRows: (count) => onProgress?.({ done: Math.min(total, (done += count)), total }),
    }
    const about = aboutOf(subject, options)
    await writers[format](subject, about)
    if (hasRowsFile(format)) await writeLines(path.join(aside, 'rows.jsonl'), rowLines(subject), signal)
    await writeWhole(path.join(aside, 'about.json'), `${JSON.stringify(about, null, 2)}\n`)
    await writeWhole(path.join(aside, 'load.py'), pythonLoader(format, { types }))
  })
  return { files, python: pythonLoader(format, { types, folder: path.resolve(folder) }) }
}

const writers: Record<CollectionExport, (subject: ExportSubject, about: About) => Promise<void>> = {
  safetensors: (subject, about) => writeSafetensors(subject, stringsOf(about)),
  npy: (subject) => writeNpy(subject),
  npz: (subject) => writeNpz(subject),
  parquet: (subject, about) => writeParquet(subject, stringsOf(about)),
  arrow: (subject) => writeArrow(subject),
  zarr: (subject, about) => writeZarr(subject, { ...about }),
  csv: (subject) => writeCsv(subject),
}

/** Bytes, about: of text nine digits a number. */
const estimate = (outputs: readonly NamedLayout[], format: CollectionExport): number =>
  outputs.reduce(
    (sum, { layout }) => sum + sizeOfLayout(layout) * (format === 'csv' ? 12 : valueBytes[layout.type]),
    0,
  )

type About = ReturnType<typeof aboutOf>

function aboutOf(subject: ExportSubject, { name, filter, format }: ExportOptions) {
  const { collection, rows, outputs } = subject
  const { id, created, provenance, dataset, failures, duplicates, complete } = collection.manifest
  const table = tableOf(subject)
  return {
    collection: name,
    id,
    created,
    ...provenance,
    parity: certificateText(provenance.certificate),
    dataset,
    format,
    filter,
    rows: rows.length,
    failures: failures.length,
    duplicates,
    complete,
    outputs: outputs.map(({ layout: { output, kind, shape, type }, file }, i) => ({
      name: output.name,
      file,
      column: table.values[i].name,
      shapes: table.values[i].shapeName,
      hook: output.hook,
      positions: output.asked.positions,
      reduction: output.asked.reduction,
      dims: output.dims,
      sizes: output.sizes,
      kind,
      shape,
      /** Type of the numbers here; how they were stored, and the largest relative error of that. */
      dtype: type,
      stored: output.dtype,
      error: output.error,
    })),
  }
}

/** Metadata that holds strings only. */
const stringsOf = (about: About): Record<string, string> =>
  Object.fromEntries(
    Object.entries(about).map(([key, value]) => [
      key,
      (typeof value === 'string' ? value : JSON.stringify(value)).replace(/\p{Surrogate}/gu, '\ufffd'),
    ]),
  )

async function* rowLines({ collection, rows }: ExportSubject): AsyncGenerator<unknown> {
  for await (const { row, stored } of storedRows(collection, rows)) {
    const { source, label, text, tokens, span, cells } = stored
    yield {
      row,
      source,
      label,
      text,
      tokens,
      token_texts: collection.tokensOf(stored).map((each) => each.text),
      span,
      cells,
    }
  }
}

/** Names of files for outputs: of letters, digits, dots, dashes and underscores, each once whatever the letters' case. */
function fileNames(): (output: string) => string {
  const unique = uniqueNames()
  return (output) =>
    unique(
      output
        .replace(/[^A-Za-z0-9._-]+/g, '-')
        .replace(/^[.-]+|[.-]+$/g, '')
        .slice(0, 120) || 'output',
    )
}
