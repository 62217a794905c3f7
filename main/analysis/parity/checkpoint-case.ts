/**
 * The reference of the checkpoint that a case names: an export computes what its checkpoint does, so that gradients, which
 * only the checkpoint's reference holds, are the export's too.
 */
import path from 'node:path'
import { readCase, type Case } from './case'
import { isFile } from './gguf-case'

/** Folders above the case in which the checkpoint is looked for. */
const LEVELS = 4
/** Where the reference cases keep checkpoints, for a case that gives a bare name. */
const CHECKPOINTS = ['', 'architectures']

/**
 * The folder of a checkpoint that a description names: by a path below one of the folders above; nothing else is followed.
 * @returns null where it is not beside the case
 */
export async function checkpointOf(folder: string, checkpoint: unknown): Promise<string | null> {
  if (typeof checkpoint !== 'string' || !/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/.test(checkpoint)) return null
  let above = path.resolve(folder)
  for (let level = 0; level < LEVELS; level++) {
    above = path.dirname(above)
    for (const among of CHECKPOINTS) {
      const place = path.join(above, among, checkpoint)
      if (await isFile(path.join(place, 'config.json'))) return place
    }
  }
  return null
}

const GRADIENT = 'grad.'
const isGradient = (name: string): boolean => name.startsWith(GRADIENT)

/**
 * A case, with the gradients of its checkpoint's reference where it has none of its own and both are of the same tokens.
 * @throws PatchbayError `file.missing`, `file.malformed`
 */
export async function readCaseWithGradients(folder: string): Promise<Case> {
  const own = await readCase(folder)
  if (own.names.some(isGradient)) return own
  const place = await checkpointOf(folder, own.reference.checkpoint)
  if (place === null || !(await isFile(path.join(place, 'reference.safetensors')))) return own
  const other = await readCase(place).catch(async (error: unknown) => {
    await own.close()
    throw error
  })
  const close = async (): Promise<void> => {
    await own.close()
    await other.close()
  }
  try {
    const gradients = new Set(other.names.filter(isGradient))
    const { tokA, tokB } = other.reference
    const same = tokA === own.reference.tokA && tokB === own.reference.tokB && (await sameTokens(own, other))
    if (!same) gradients.clear()
    return {
      ...own,
      names: [...own.names, ...gradients],
      tensor: (name) => (gradients.has(name) ? other : own).tensor(name),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function sameTokens(a: Case, b: Case): Promise<boolean> {
  const [left, right] = [await a.tokens('input_ids'), await b.tokens('input_ids')]
  return JSON.stringify(left) === JSON.stringify(right)
}
