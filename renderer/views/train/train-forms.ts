/** What the forms hold, what is still missing in them, and the jobs that they make. */
import { markRaw, reactive } from 'vue'
import type { DatasetSource } from '../../../preload/datasets'
import type { ModelDescription } from '../../../preload/model'
import { fileName } from '../../files/choose-path'
import { dictionaryOf, emptyDictionary, missingOfDictionary, type DictionaryDraft } from './dictionary-draft'
import { emptyProbe, missingOfProbe, probeOf, type ProbeDraft } from './probe-draft'
import { emptySteering, missingOfSteering, steeringOf, type SteeringDraft } from './steering-draft'
import { storyworldOf, usualStoryworld, type StoryworldDraft } from './storyworld-draft'

export const trainKinds = ['probe', 'steering', 'dictionary', 'storyworld'] as const
export type TrainKind = (typeof trainKinds)[number]

/** What a file that is dropped on a form becomes there; undefined where it has no room for one. */
export const takenAs: Partial<Record<TrainKind, string>> = {
  probe: 'the probe’s examples',
  dictionary: 'the dictionary’s texts',
}

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
  /** Puts a file of rows or texts into a form that has room for one (see `takenAs`). */
  takeFile: (kind: TrainKind, path: string) => void
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

  function takeFile(kind: TrainKind, path: string): void {
    const { probe, dictionary } = drafts
    if (kind === 'probe') {
      probe.from = 'dataset'
      probe.dataset.source = markRaw<DatasetSource>({ kind: 'file', path })
      probe.dataset.name = fileName(path)
    }
    if (kind === 'dictionary') {
      dictionary.from = 'file'
      dictionary.path = path
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

  return { drafts, missing, takeFile, job }
}
