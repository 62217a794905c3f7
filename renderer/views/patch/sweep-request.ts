/** What the view asks, to be repeated elsewhere: as the request that the command line takes, and as a line for a terminal. */
import { canonicalJson } from '../../../preload/canonical'
import type { ModelDescription } from '../../../preload/model'
import {
  pathRequest,
  scrubRequest,
  sweepRequest,
  type PathRequest,
  type ScrubRequest,
  type SweepRequest,
} from '../../../preload/sweep'
import { quoted } from '../../exports/evidence'
import { isScrub } from './question-python'
import type { ScrubQuestion } from './scrub'
import { isPaths, type SweepQuestion } from './sweep'

export type Asked = SweepQuestion | ScrubQuestion

/** With everything that is a default written out. A path request has receivers, a scrubbing check sets that are kept. */
export const requestOf = (question: Asked): SweepRequest | PathRequest | ScrubRequest =>
  isScrub(question)
    ? scrubRequest.parse(question)
    : isPaths(question)
      ? pathRequest.parse(question)
      : sweepRequest.parse(question)

/** Which model, by its fingerprint; the tensors that the request names, as numbers. */
export function sweepRequestJson(question: Asked, { fingerprint }: ModelDescription): string {
  const tensors = Object.entries(question.tensors ?? {}).map(
    ([name, { shape, data }]) => [name, { shape, data: Array.from(data) }] as const,
  )
  return JSON.stringify(
    {
      model: fingerprint,
      ...requestOf(question),
      ...(tensors.length === 0 ? {} : { tensors: Object.fromEntries(tensors) }),
    },
    null,
    2,
  )
}

/** The file that a command line reads tensors from, beside where it is run. */
export const tensorsName = 'patching-tensors'
export const tensorsFile = `${tensorsName}.safetensors`

export const hasTensors = ({ tensors = {} }: Asked): boolean => Object.keys(tensors).length > 0

/** Token ids, never text: nothing of a prompt reaches the shell. Tensors come from `tensorsFile`. */
export function sweepCommand(question: Asked, { fingerprint, provider }: ModelDescription): string {
  const model = `--model ${fingerprint.slice(0, 16)} --provider ${provider}`
  const tensors = hasTensors(question) ? ` --tensors ${tensorsFile}` : ''
  return `npx patchbay patch ${model} --request ${quoted(canonicalJson(requestOf(question)))}${tensors}`
}
