/** A steering vector as it is being chosen: its examples, where it is added, how it is optimised. */
import type { ModelDescription } from '../../../preload/model'
import type { BosPolicy } from '../../../preload/prompt'
import type { SteeringInput } from '../../../preload/training'
import { behindBlocks, hookAt, middleLayer } from './hook-choices'

export interface SteeringRow {
  prompt: string
  target: string
  avoided: string
}

export interface SteeringDraft {
  rows: SteeringRow[]
  template: 'none' | 'chat'
  bos: BosPolicy
  /** '': the middle of the model. */
  hook: string
  /** 0: half the residual stream's norm. */
  maxNorm: number
  steps: number
  batch: number
  positions: 'all' | 'prompt' | 'generated'
  name: string
  author: string
  note: string
  seed: number
}

export const emptyRow = (): SteeringRow => ({ prompt: '', target: '', avoided: '' })

export const emptySteering = (): SteeringDraft => ({
  rows: [emptyRow(), emptyRow()],
  template: 'none',
  bos: 'model',
  hook: '',
  maxNorm: 0,
  steps: 50,
  batch: 16,
  positions: 'all',
  name: '',
  author: '',
  note: '',
  seed: 0,
})

const written = ({ prompt, target }: SteeringRow): boolean => prompt.trim() !== '' && target.trim() !== ''
const blank = (row: SteeringRow): boolean => Object.values(row).every((text: string) => text.trim() === '')

export function missingOfSteering({ rows, name }: SteeringDraft): string | null {
  const half = rows.findIndex((row) => !blank(row) && !written(row))
  if (half >= 0) return `Example ${half + 1} needs a prompt and a target.`
  if (!rows.some(written)) return 'Write at least one prompt with a target.'
  return name.trim() === '' ? 'Give it a name.' : null
}

/** The chosen hook point; the middle of a model that has none of that name, as another may have been opened meanwhile. */
export const steeringHook = ({ hook }: SteeringDraft, model: ModelDescription): string =>
  behindBlocks(model).some(({ value }) => value === hook)
    ? hook
    : hookAt(middleLayer(model), 'hook_resid_post')

export function steeringOf(draft: SteeringDraft, model: ModelDescription): SteeringInput {
  const { rows, maxNorm, name, author, ...rest } = draft
  const examples = rows
    .filter(written)
    .map(({ avoided, ...row }) => ({ ...row, avoided: avoided.trim() === '' ? null : avoided }))
  return {
    ...rest,
    model: model.source,
    examples,
    hook: steeringHook(draft, model),
    name: name.trim(),
    author: author.trim(),
    maxNorm: maxNorm === 0 ? null : maxNorm,
  }
}
