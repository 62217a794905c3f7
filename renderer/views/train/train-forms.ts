/** What the forms hold, what is still missing in them, and the jobs that they make. */
import { reactive } from 'vue'
import type { ModelDescription } from '../../../preload/model'
import { dictionaryOf, emptyDictionary, missingOfDictionary, type DictionaryDraft } from './dictionary-draft'
import { emptyProbe, missingOfProbe, probeOf, type ProbeDraft } from './probe-draft'
import { emptySteering, missingOfSteering, steeringOf, type SteeringDraft } from './steering-draft'
import { storyworldOf, usualStoryworld, type StoryworldDraft } from './storyworld-draft'

export const trainKinds = ['probe', 'steering', 'dictionary', 'storyworld'] as const
export type TrainKind = (typeof trainKinds)[number]

export interface TrainDrafts {
  probe: ProbeDraft
  steering: SteeringDraft
  dictionary: DictionaryDraft
  storyworld: StoryworldDraft
}

export interface TrainForms {
  drafts: TrainDrafts
  /** What is still missing, in a sentence; null when the job can be started. */
  missing: (kind: TrainKind) => string | null
  /** The job; null while no model is open that it needs. */
  job: (kind: TrainKind) => { kind: string; input: unknown } | null
}

export function useTrainForms(model: () => ModelDescription | null): TrainForms {
  const drafts = reactive<TrainDrafts>({
    probe: emptyProbe(),
    steering: emptySteering(),
    dictionary: emptyDictionary(),
    storyworld: usualStoryworld(),
  })

  function missing(kind: TrainKind): string | null {
    if (kind === 'storyworld') return null
    const open = model()
    if (open === null) return 'Open a model.'
    if (open.layers === 0) return 'No blocks were recognised in this model.'
    switch (kind) {
      case 'probe':
        return missingOfProbe(drafts.probe)
      case 'steering':
        return missingOfSteering(drafts.steering)
      case 'dictionary':
        return missingOfDictionary(drafts.dictionary, open)
    }
  }

  function job(kind: TrainKind): { kind: string; input: unknown } | null {
    if (kind === 'storyworld') return { kind: 'train.storyworld', input: storyworldOf(drafts.storyworld) }
    const open = model()
    if (open === null) return null
    switch (kind) {
      case 'probe':
        return { kind, input: probeOf(drafts.probe, open.source) }
      case 'steering':
        return { kind, input: steeringOf(drafts.steering, open) }
      case 'dictionary':
        return { kind, input: dictionaryOf(drafts.dictionary, open) }
    }
  }

  return { drafts, missing, job }
}
