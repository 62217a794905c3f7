/** What the three forms hold, what is still missing, and the inputs of jobs that they make. */
import { computed, reactive, type ComputedRef } from 'vue'
import type { ModelDescription } from '../../../preload/model'
import type {
  DictionaryInput,
  dictionaryKinds,
  ProbeInput,
  probeMethods,
  SteeringInput,
} from '../../../preload/training'

export const trainKinds = ['probe', 'steering', 'dictionary'] as const
export type TrainKind = (typeof trainKinds)[number]

export interface SteeringRow {
  prompt: string
  target: string
  avoided: string
}

export interface TrainDrafts {
  probe: {
    /** A text a line. */
    positive: string
    negative: string
    site: string
    position: 'last' | 'mean'
    method: (typeof probeMethods)[number]
    inversePenalty: number
    standardise: 'yes' | 'no'
    heldOut: number
    controls: number
    seed: number
  }
  steering: {
    rows: SteeringRow[]
    hook: string
    /** 0: half the residual stream's norm. */
    maxNorm: number
    steps: number
    positions: 'all' | 'prompt' | 'generated'
    name: string
    seed: number
  }
  dictionary: {
    texts: string
    hook: string
    activation: (typeof dictionaryKinds)[number]
    dSae: number
    k: number
    sparsity: number
    steps: number
    rows: number
    seed: number
  }
}

type Job =
  | { kind: 'probe'; input: ProbeInput }
  | { kind: 'steering'; input: SteeringInput }
  | { kind: 'dictionary'; input: DictionaryInput }

export interface TrainForms {
  drafts: TrainDrafts
  /** Hook points on the residual stream, behind each block. */
  hooks: ComputedRef<{ value: string; label: string }[]>
  /** What is still missing, in a sentence; null when the job can be started. */
  missing: (kind: TrainKind) => string | null
  job: (kind: TrainKind) => Job
}

const behind = (layer: number): string => `blocks.${layer}.hook_resid_post`
export const linesOf = (text: string): string[] => text.split(/\r?\n/).filter((line) => line.trim() !== '')
const written = ({ prompt, target }: SteeringRow): boolean => prompt.trim() !== '' && target.trim() !== ''
const blank = (row: SteeringRow): boolean => Object.values(row).every((text: string) => text.trim() === '')

export const emptyRow = (): SteeringRow => ({ prompt: '', target: '', avoided: '' })

export function useTrainForms(model: () => ModelDescription | null): TrainForms {
  const middle = behind(Math.max(0, Math.floor(((model()?.layers ?? 1) - 1) / 2)))
  const drafts = reactive<TrainDrafts>({
    probe: {
      positive: '',
      negative: '',
      site: 'hook_resid_post',
      position: 'last',
      method: 'logistic',
      inversePenalty: 1,
      standardise: 'no',
      heldOut: 0.25,
      controls: 3,
      seed: 0,
    },
    steering: {
      rows: [emptyRow(), emptyRow()],
      hook: middle,
      maxNorm: 0,
      steps: 50,
      positions: 'all',
      name: '',
      seed: 0,
    },
    dictionary: {
      texts: '',
      hook: middle,
      activation: 'topk',
      dSae: 1024,
      k: 32,
      sparsity: 1,
      steps: 1000,
      rows: 256,
      seed: 0,
    },
  })
  const hooks = computed(() =>
    Array.from({ length: model()?.layers ?? 0 }, (_, i) => ({
      value: behind(i),
      label: `Behind block ${i}`,
    })),
  )
  /** A model with fewer layers may have been opened meanwhile. */
  const known = (hook: string): string =>
    hooks.value.some(({ value }) => value === hook) ? hook : (hooks.value.at(-1)?.value ?? hook)

  function missing(kind: TrainKind): string | null {
    if (hooks.value.length === 0) return 'No blocks were recognised in this model.'
    const { probe, steering, dictionary } = drafts
    switch (kind) {
      case 'probe':
        for (const side of ['positive', 'negative'] as const)
          if (linesOf(probe[side]).length < 2)
            return `Write at least two texts ${side === 'positive' ? 'with' : 'without'} the property.`
        return null
      case 'steering': {
        const half = steering.rows.findIndex((row) => !blank(row) && !written(row))
        if (half >= 0) return `Example ${half + 1} needs a prompt and a target.`
        if (!steering.rows.some(written)) return 'Write at least one prompt with a target.'
        return steering.name.trim() === '' ? 'Give it a name.' : null
      }
      case 'dictionary':
        return linesOf(dictionary.texts).length < 2 ? 'Write or import at least two texts.' : null
    }
  }

  function job(kind: TrainKind): Job {
    const source = model()?.source ?? { location: { kind: 'embedded' as const } }
    switch (kind) {
      case 'probe': {
        const { positive, negative, standardise, ...rest } = drafts.probe
        const examples = [
          ...linesOf(positive).map((text) => ({ text, label: 1 as const })),
          ...linesOf(negative).map((text) => ({ text, label: 0 as const })),
        ]
        return { kind, input: { ...rest, model: source, examples, standardise: standardise === 'yes' } }
      }
      case 'steering': {
        const { rows, maxNorm, hook, name, ...rest } = drafts.steering
        const examples = rows
          .filter(written)
          .map(({ avoided, ...row }) => ({ ...row, avoided: avoided.trim() === '' ? null : avoided }))
        return {
          kind,
          input: {
            ...rest,
            model: source,
            examples,
            hook: known(hook),
            name: name.trim(),
            maxNorm: maxNorm === 0 ? null : maxNorm,
          },
        }
      }
      case 'dictionary': {
        const { texts, hook, ...rest } = drafts.dictionary
        return {
          kind,
          input: {
            ...rest,
            model: source,
            hook: known(hook),
            texts: { kind: 'texts', texts: linesOf(texts) },
          },
        }
      }
    }
  }

  return { drafts, hooks, missing, job }
}
