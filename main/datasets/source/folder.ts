/** A folder of text files: each is a row with its text, and its name from the folder on. */
import path from 'node:path'
import { asPatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../runtime/cancelled'
import type { ReadRow } from '../types'
import type { FoundFile } from './list-folder'
import { documentOf } from './plain-text'

/** A file that is no text is an error in its place. @throws PatchbayError `run.cancelled` */
export async function* readFolder(
  root: string,
  files: readonly FoundFile[],
  signal?: AbortSignal,
): AsyncGenerator<ReadRow[]> {
  for (const file of files) {
    throwIfCancelled(signal)
    yield [await rowOf(root, file, signal)]
  }
}

async function rowOf(
  root: string,
  { path: file, bytes, problem }: FoundFile,
  signal?: AbortSignal,
): Promise<ReadRow> {
  if (problem !== null) return problem
  try {
    const read = await documentOf({ path: file, bytes, gzip: /\.gz$/i.test(file) }, signal)
    if (read instanceof Error) return read
    return { text: read.text, file: path.relative(root, file).split(path.sep).join('/') }
  } catch (thrown) {
    throwIfCancelled(signal)
    return asPatchbayError(thrown)
  }
}
