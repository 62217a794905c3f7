/** Training of storyworld as it is being chosen, beginning with the settings that made the model that comes along. */
import { storyworldSettings, type StoryworldSettings } from '../../../preload/storyworld'

/** As number fields take the settings: 0 stands for gradients that are not clipped, and for evaluating only at the end. */
export type StoryworldDraft = Record<keyof StoryworldSettings, number>

export function usualStoryworld(): StoryworldDraft {
  const { clip, evaluateEvery, ...rest } = storyworldSettings.parse({})
  return { ...rest, clip: clip ?? 0, evaluateEvery: evaluateEvery ?? 0 }
}

export const storyworldOf = ({ clip, evaluateEvery, ...rest }: StoryworldDraft): StoryworldSettings => ({
  ...rest,
  clip: clip === 0 ? null : clip,
  evaluateEvery: evaluateEvery === 0 ? null : evaluateEvery,
})

interface StoryworldField {
  name: keyof StoryworldDraft
  /** As a number field takes it. */
  of: { label: string; min: number; max: number; step: number; hint: string }
}
const field = (
  name: keyof StoryworldDraft,
  label: string,
  [min, max, step]: readonly [number, number, number],
  hint: string,
): StoryworldField => ({ name, of: { label, min, max, step, hint } })

/** The fields of the form: those that are shown, and those that are folded. */
export const storyworldFields = {
  first: [
    field('steps', 'Steps', [1, 1e7, 1], 'Updates'),
    field('seed', 'Seed', [0, 2 ** 31 - 1, 1], 'Of weights and corpus: the same seed gives the same model'),
    field('rate', 'Rate', [1e-9, 1, 0.0001], 'Peak learning rate'),
    field('evaluateEvery', 'Evaluate every', [0, 1e7, 1], 'Steps; 0: only at the end'),
  ],
  more: [
    field('rows', 'Rows', [1, 4096, 1], 'Of a batch'),
    field('columns', 'Tokens a row', [1, 512, 1], 'That are predicted'),
    field('accumulate', 'Accumulate', [1, 1024, 1], 'Batches of one update'),
    field('warmUp', 'Warm-up', [0, 1e7, 1], 'Steps until the rate is at its peak'),
    field('floor', 'Last rate', [0, 1, 0.01], 'As a fraction of the peak'),
    field('clip', 'Clip', [0, 1e6, 0.1], 'Largest norm of the gradients together; 0: any'),
    field('weightDecay', 'Weight decay', [0, 1, 0.01], 'Of matrices; norms’ weights are left alone'),
    field('checkpointEvery', 'Checkpoint every', [1, 1e7, 1], 'Steps'),
    field('questions', 'Questions', [1, 10_000, 1], 'Of each family in an evaluation'),
  ],
} as const satisfies Record<string, readonly StoryworldField[]>
