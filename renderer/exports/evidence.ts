/** The request behind a picture, as JSON and as a line for a terminal. */
import { canonicalJson } from '../../preload/canonical'
import type { Evidence } from '../../preload/views'

export const evidenceJson = (evidence: Evidence): string => JSON.stringify(evidence, null, 2)

/** Quotes for POSIX shells: everything between apostrophes is taken literally. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** The same run from a terminal; the model is named by its fingerprint, the request holds token ids, never text. */
export function evidenceCommand({ request, provenance }: Evidence): string {
  const model = `--model ${provenance.fingerprint.slice(0, 16)} --provider ${provenance.provider}`
  return `npx patchbay run ${model} --request ${quoted(canonicalJson(request))}`
}
