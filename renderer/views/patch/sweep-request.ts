/** A sweep, to be repeated elsewhere: as the request that the command line takes, and as a line for a terminal. */
import { canonicalJson } from '../../../preload/canonical'
import type { ModelDescription } from '../../../preload/model'
import { sweepRequest } from '../../../preload/sweep'
import { quoted } from '../../exports/evidence'
import type { SweepQuestion } from './sweep'

/** With everything that is a default written out; which model, by its fingerprint. */
export const sweepRequestJson = (question: SweepQuestion, { fingerprint }: ModelDescription): string =>
  JSON.stringify({ model: fingerprint, ...sweepRequest.parse(question) }, null, 2)

/** Token ids, never text: nothing of a prompt reaches the shell. */
export function sweepCommand(question: SweepQuestion, { fingerprint, provider }: ModelDescription): string {
  const model = `--model ${fingerprint.slice(0, 16)} --provider ${provider}`
  return `npx patchbay patch ${model} --request ${quoted(canonicalJson(sweepRequest.parse(question)))}`
}
