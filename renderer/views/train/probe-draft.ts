/** A probe as it is being chosen: its examples, where they are read, how it is fitted. */
import type { DatasetReport } from '../../../preload/datasets'
import type { ModelSource } from '../../../preload/model'
import type { BosPolicy } from '../../../preload/prompt'
import type { ProbeInput, probeMethods } from '../../../preload/training'
import { datasetOf, emptyDataset, missingOfDataset, type DatasetDraft } from '../../datasets/dataset-draft'
import { linesOf } from './lines'

export interface ProbeDraft {
  from: 'texts' | 'dataset'
  /** A text a line. */
  positive: string
  negative: string
  template: 'none' | 'chat'
  bos: BosPolicy
  dataset: DatasetDraft
  report: DatasetReport | null
  /** Value of the label column that has the property. */
  property: string
  site: string
  position: 'last' | 'mean'
  method: (typeof probeMethods)[number]
  inversePenalty: number
  standardise: boolean
  heldOut: number
  controls: number
  seed: number
}

export const emptyProbe = (): ProbeDraft => ({
  from: 'texts',
  positive: '',
  negative: '',
  template: 'none',
  bos: 'model',
  dataset: emptyDataset(),
  report: null,
  property: '',
  site: 'hook_resid_post',
  position: 'last',
  method: 'logistic',
  inversePenalty: 1,
  standardise: false,
  heldOut: 0.25,
  controls: 3,
  seed: 0,
})

/** Labels that say by themselves which one has the property. */
const saysYes = ['1', 'true', 'yes', 'positive', 'pos']

/** The values of the label column that were seen, the one that most likely has the property first. */
export function labelValues({ dataset, report }: ProbeDraft): string[] {
  if (report === null || dataset.label === '') return []
  const seen = report.head
    .map((row) => row[dataset.label])
    .filter((cell) => cell !== null && cell !== undefined)
  const examples = report.columns.find(({ name }) => name === dataset.label)?.examples ?? []
  const values = [...new Set([...seen.map(String), ...examples])]
  const yes = (value: string): boolean => saysYes.includes(value.toLowerCase())
  return [...values.filter(yes), ...values.filter((value) => !yes(value))]
}

/** What is still missing, in a sentence; null when it can be fitted. */
export function missingOfProbe(draft: ProbeDraft): string | null {
  if (draft.from === 'texts') {
    for (const side of ['positive', 'negative'] as const)
      if (linesOf(draft[side]).length < 2)
        return `Write at least two texts ${side === 'positive' ? 'with' : 'without'} the property.`
    return null
  }
  const missing = missingOfDataset(draft.dataset)
  if (missing !== null) return missing
  if (draft.report === null) return 'The data set is being read.'
  const { label } = draft.dataset
  if (label === '') return 'Choose the column that says which rows have the property.'
  const different = draft.report.columns.find(({ name }) => name === label)?.distinct ?? null
  if (different !== null && different > 2)
    return `The column “${label}” has ${different} different values; a probe tells two apart.`
  return draft.property === '' ? 'Say which label has the property.' : null
}

export function probeOf(draft: ProbeDraft, model: ModelSource): ProbeInput {
  const { site, position, method, inversePenalty, standardise, heldOut, controls, seed } = draft
  const settings = { model, site, position, method, inversePenalty, standardise, heldOut, controls, seed }
  const rows = draft.from === 'dataset' ? datasetOf(draft.dataset) : null
  if (rows !== null) return { ...settings, dataset: { rows, positive: draft.property } }
  const { template, bos } = draft
  const examples = [
    ...linesOf(draft.positive).map((text) => ({ text, label: 1 as const })),
    ...linesOf(draft.negative).map((text) => ({ text, label: 0 as const })),
  ]
  return { ...settings, examples, template, bos }
}
