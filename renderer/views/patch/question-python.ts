/** What the view asks, as a program for TransformerLens. */
import type { ModelDescription } from '../../../preload/model'
import { pathRequest, scrubRequest, sweepRequest } from '../../../preload/sweep'
import type { Program } from './python-parts'
import type { ScrubQuestion } from './scrub'
import { scrubPython } from './scrub-python'
import { isPaths, type SweepQuestion } from './sweep'
import { pathPython, sweepPython } from './sweep-python'

export const isScrub = (question: SweepQuestion | ScrubQuestion): question is ScrubQuestion =>
  'keep' in question

/** A program, or why there is none. */
export function questionPython(
  question: SweepQuestion | ScrubQuestion,
  { fingerprint }: Pick<ModelDescription, 'fingerprint'>,
): Program {
  if (isScrub(question)) return scrubPython(scrubRequest.parse(question), fingerprint)
  const { tensors } = question
  return isPaths(question)
    ? pathPython(pathRequest.parse(question), fingerprint, tensors)
    : sweepPython(sweepRequest.parse(question), fingerprint, tensors)
}
