/**
 * Cases of other libraries' formats and methods: their `reference.json` says which library computed them and how. Kinds
 * that Patchbay has no code for yet are told apart from cases that are broken.
 */
import { isJsonObject, type JsonObject } from '../../models/formats/strict-json'
import { checkpointOf } from './checkpoint-case'
import { descriptionOf, readDescription } from './description'

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
  if (isAttribution(content))
    return { kind: 'attribution', model: await checkpointOf(folder, content.checkpoint) }
  return { kind: 'unread', library: content.library }
}

const isAttribution = (content: JsonObject): boolean =>
  ['tokA', 'tokB', 'clean_row', 'corrupt_row', 'ig_steps'].every((key) => typeof content[key] === 'number')
