/** From a path to the files that hold the rows, and how they are read: by what was asked, by names, by first bytes. */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import type { DatasetFormat } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { malformed, quoted, readFailure } from '../../models/formats/malformed'
import { bytesOf, type DataFile } from './bytes'
import { listFolder, type FoundFile } from './list-folder'

type FileFormat = Exclude<DatasetFormat, 'folder'>

export type ResolvedFiles =
  | { readonly format: FileFormat; readonly files: readonly DataFile[]; readonly root: string }
  | { readonly format: 'folder'; readonly files: readonly FoundFile[]; readonly root: string }

const byEnding: Readonly<Record<string, FileFormat>> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'jsonl',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.tab': 'tsv',
  '.parquet': 'parquet',
  '.arrow': 'arrow',
  '.feather': 'arrow',
  '.txt': 'lines',
}

/** What lies beside a data set's files and is none of them. */
const aboutDataSets = new Set(['dataset_info.json', 'dataset_infos.json', 'dataset_dict.json', 'state.json'])

/** @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed`, `input.invalid` */
export async function resolveFiles(given: string, asked: DatasetFormat | undefined): Promise<ResolvedFiles> {
  let isFolder: boolean
  let bytes: number
  try {
    const found = await stat(given)
    isFolder = found.isDirectory()
    bytes = found.size
  } catch (cause) {
    throw readFailure(given, cause)
  }
  if (isFolder) return resolveFolder(given, asked)
  if (asked === 'folder')
    throw new PatchbayError('input.invalid', `${quoted(given)} is a file, not a folder.`, {
      file: given,
      next: 'Leave the format out, or give that of the file.',
    })
  const file = { path: given, bytes, gzip: isPacked(given) }
  return { format: asked ?? (await formatOf(file)), files: [file], root: path.dirname(given) }
}

async function resolveFolder(root: string, asked: DatasetFormat | undefined): Promise<ResolvedFiles> {
  const found = await listFolder(root)
  const data = found.filter(({ path: file }) => {
    const format = formatByName(file)
    return format !== null && format !== 'lines' && !aboutDataSets.has(path.basename(file))
  })
  const formats = [...new Set(data.map(({ path: file }) => formatByName(file)))]
  if (asked !== undefined && asked !== 'folder') {
    const files = found.filter(({ path: file }) => formatByName(file) === asked)
    if (files.length > 0) return { format: asked, files: files.map(asDataFile), root }
    throw new PatchbayError(
      'input.invalid',
      `There are no files in ${quoted(root)} that are read as ${asked}.`,
      {
        file: root,
        next: 'Leave the format out, or choose a file.',
      },
    )
  }
  const [format] = formats
  if (formats.length > 1)
    throw new PatchbayError(
      'input.invalid',
      `The folder holds several kinds of data: ${formats.join(', ')}.`,
      {
        file: root,
        next: 'Choose one of them as the format, or a folder or file below it.',
      },
    )
  if (format !== undefined && format !== null) return { format, files: data.map(asDataFile), root }
  if (found.length > 0) return { format: 'folder', files: found, root }
  throw new PatchbayError('input.invalid', `There are no files in ${quoted(root)}.`, {
    file: root,
    next: 'Choose a folder with text or data files.',
  })
}

/** A link that leads out of the folder stays as it is: whoever opens it says so. */
function asDataFile({ path: file, bytes, problem }: FoundFile): DataFile {
  if (problem !== null) throw problem
  return { path: file, bytes, gzip: isPacked(file) }
}

const isPacked = (file: string): boolean => /\.gz$/i.test(file)

function formatByName(file: string): FileFormat | null {
  const ending = path.extname(isPacked(file) ? file.slice(0, -3) : file).toLowerCase()
  return Object.hasOwn(byEnding, ending) ? byEnding[ending] : null
}

async function formatOf(file: DataFile): Promise<FileFormat> {
  const named = formatByName(file.path)
  if (named !== null) return named
  const head = await beginning(file)
  const latin = head.toString('latin1')
  if (latin.startsWith('PAR1')) return 'parquet'
  if (latin.startsWith('ARROW1') || latin.startsWith('\xff\xff\xff\xff')) return 'arrow'
  if (/^(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*[{"\]])/.test(latin)) return 'jsonl'
  if (!head.includes(0)) return 'lines'
  throw malformed(file.path, 'it is neither text nor a data file that is known', {
    next: 'Give JSON Lines, CSV, TSV, Parquet, Arrow or UTF-8 text.',
  })
}

async function beginning(file: DataFile): Promise<Buffer> {
  for await (const chunk of bytesOf(file)) return chunk.subarray(0, 4096)
  return Buffer.alloc(0)
}
