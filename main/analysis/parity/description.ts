/** The file that says what a case is: its own, or that of an ONNX export, which says the same of its checkpoint's reference. */
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { malformed, readFailure } from '../../models/formats/malformed'
import { parseStrictJson } from '../../models/formats/strict-json'
import { isFile } from './gguf-case'

const OWN = 'reference.json'
export const descriptions = [OWN, 'export.json'] as const

/** Path of the description in a folder; of `reference.json` where there is none. */
export async function descriptionOf(folder: string): Promise<string> {
  for (const name of descriptions) if (await isFile(path.join(folder, name))) return path.join(folder, name)
  return path.join(folder, OWN)
}

/** The largest public one has some tens of kilobytes. */
const LARGEST = 16 * 2 ** 20

/** A description's JSON, of which nothing is checked yet. @throws PatchbayError `file.unreadable`, `file.malformed` */
export async function readDescription(file: string): Promise<unknown> {
  let text: string
  try {
    if ((await stat(file)).size > LARGEST) throw malformed(file, 'is too large for a description')
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw readFailure(file, cause)
  }
  return parseStrictJson(text, { file, pythonNumbers: true })
}
