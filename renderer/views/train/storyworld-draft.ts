/** Training of storyworld as it is being chosen, beginning with the settings that made the model that comes along. */
export interface StoryworldDraft {
  steps: number
  seed: number
  /** Peak learning rate. */
  rate: number
  rows: number
  columns: number
  accumulate: number
  warmUp: number
  floor: number
  /** 0: gradients are not clipped. */
  clip: number
  weightDecay: number
  checkpointEvery: number
  /** 0: only at the end. */
  evaluateEvery: number
  questions: number
}

export const usualStoryworld = (): StoryworldDraft => ({
  steps: 4000,
  seed: 1,
  rate: 2e-3,
  rows: 48,
  columns: 128,
  accumulate: 1,
  warmUp: 200,
  floor: 0.05,
  clip: 1,
  weightDecay: 0.01,
  checkpointEvery: 100,
  evaluateEvery: 500,
  questions: 300,
})

export const storyworldOf = ({ clip, evaluateEvery, ...rest }: StoryworldDraft): Record<string, unknown> => ({
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
