/** Which verification cases a path stands for. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import { descriptionOf, descriptions } from './description'
import { expectationOf, isFile } from './gguf-case'

const [CASE_FILE] = descriptions
const WEIGHTS = /\.(safetensors|gguf|onnx)$/

/** A folder with `reference.json`, or a GGUF file and what it must reproduce (null where that is not there). */
export type FoundCase =
  | { readonly kind: 'folder'; readonly name: string; readonly folder: string }
  | {
      readonly kind: 'gguf'
      readonly name: string
      readonly file: string
      readonly expectation: string | null
    }

/**
 * A case folder or GGUF file itself, or those in a folder, by name.
 * @throws PatchbayError `file.missing` where the path is not there or holds no case
 */
export async function findCases(place: string): Promise<FoundCase[]> {
  if (place.endsWith('.gguf')) return [await ggufCase(place)]
  const names = await readdir(place).catch((error: unknown) => {
    throw asPatchbayError(error)
  })
  if (descriptions.some((name) => names.includes(name))) return [folderCase(place)]
  const found: FoundCase[] = []
  for (const name of names.sort()) {
    const inside = path.join(place, name)
    if (await isCase(inside)) found.push(folderCase(inside))
    else if (name.endsWith('.gguf')) found.push(await ggufCase(inside))
    else found.push(...(await casesOfGroup(inside)))
  }
  if (found.some((one) => one.kind === 'folder' || one.expectation !== null)) return found
  throw new PatchbayError('file.missing', `There is no ${CASE_FILE} in ${place}, nor in the folders in it.`, {
    next: 'Give a case folder, or a folder of case folders or of GGUF files with what they must reproduce.',
    file: place,
  })
}

/** The case folders in a folder of them, such as all files of one library. */
async function casesOfGroup(group: string): Promise<FoundCase[]> {
  if (!(await isFolder(group))) return []
  const found: FoundCase[] = []
  for (const name of (await readdir(group)).sort()) {
    const folder = path.join(group, name)
    if (await isCase(folder)) found.push({ ...folderCase(folder), name: `${path.basename(group)}/${name}` })
  }
  return found
}

const isCase = async (folder: string): Promise<boolean> => isFile(await descriptionOf(folder))

const isFolder = async (place: string): Promise<boolean> => (await stat(place)).isDirectory()

const folderCase = (folder: string): FoundCase => ({ kind: 'folder', name: path.basename(folder), folder })

const ggufCase = async (file: string): Promise<FoundCase> => ({
  kind: 'gguf',
  name: path.basename(file),
  file,
  expectation: await expectationOf(file),
})

/** Whether the case brings its own model. */
export async function hasWeights(folder: string): Promise<boolean> {
  const names = await readdir(folder)
  return names.some((name) => WEIGHTS.test(name) && name !== 'reference.safetensors')
}
