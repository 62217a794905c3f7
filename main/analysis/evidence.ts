/** The request behind a result and what it was computed on: what every view carries and every export states. */
import type { GenerateInput, Provenance, RunInput } from '../../preload/run'
import type { Evidence } from '../../preload/views'
import { requestHash } from '../cache/key'
import type { AnalysisModel } from './subject'

/** What is to be known of a model that computed something. */
type Computed = Pick<AnalysisModel, 'facts' | 'certificate'>

/** What a run or generation of this model was computed on. */
export function provenanceOf({ facts, certificate }: Computed, input: RunInput | GenerateInput): Provenance {
  return {
    fingerprint: facts.fingerprint,
    modelName: facts.name,
    precision: facts.precision,
    provider: facts.provider,
    requestHash: requestHash(input),
    patchbay: facts.patchbay,
    certificate: certificate ?? null,
  }
}

export const evidenceOf = (model: Computed, input: RunInput): Evidence => ({
  request: input.request,
  provenance: provenanceOf(model, input),
})
