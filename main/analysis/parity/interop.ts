/**
 * Cases of other libraries' formats and methods: their `reference.json` says which library computed them and how. Kinds
 * that Patchbay has no code for yet are told apart from cases that are broken.
 */
import path from 'node:path'
import { isJsonObject, type JsonObject } from '../../models/formats/strict-json'
import { descriptionOf, readDescription } from './description'
import { isFile } from './gguf-case'

export type InteropCase =
  /** `model`: the folder of the checkpoint that it is of; null where that is not beside it. */
  | { readonly kind: 'attribution'; readonly model: string | null }
  /** What it is of, as its description says. */
  | { readonly kind: 'unread'; readonly library: string }

/**
 * What a case folder of another library holds; null for an ordinary case.
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed`
 */
export async function interopCase(folder: string): Promise<InteropCase | null> {
  const content = await readDescription(await descriptionOf(folder))
  if (!isJsonObject(content) || typeof content.library !== 'string') return null
  if (isAttribution(content)) return { kind: 'attribution', model: await checkpointOf(folder, content) }
  return { kind: 'unread', library: content.library }
}

const isAttribution = (content: JsonObject): boolean =>
  ['tokA', 'tokB', 'clean_row', 'corrupt_row', 'ig_steps'].every((key) => typeof content[key] === 'number')

/** Folders above the case in which the checkpoint is looked for. */
const LEVELS = 4

/** The description names its checkpoint by a path below one of the folders above; nothing else is followed. */
async function checkpointOf(folder: string, { checkpoint }: JsonObject): Promise<string | null> {
  if (typeof checkpoint !== 'string' || !/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/.test(checkpoint)) return null
  let above = path.resolve(folder)
  for (let level = 0; level < LEVELS; level++) {
    above = path.dirname(above)
    const place = path.join(above, checkpoint)
    if (await isFile(path.join(place, 'config.json'))) return place
  }
  return null
}
