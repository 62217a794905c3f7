/** The file that says what a case is: its own, or that of an ONNX export, which says the same of its checkpoint's reference. */
import path from 'node:path'
import { isFile } from './gguf-case'

const OWN = 'reference.json'
export const descriptions = [OWN, 'export.json'] as const

/** Path of the description in a folder; of `reference.json` where there is none. */
export async function descriptionOf(folder: string): Promise<string> {
  for (const name of descriptions) if (await isFile(path.join(folder, name))) return path.join(folder, name)
  return path.join(folder, OWN)
}
