/** What storyworld's settings mean for the training loop, and which of them a resumed run must agree on. */
import type { StoryworldSettings } from '../../../preload/storyworld'
import type { LoopSettings } from '../loop/types'

/** Norms' weights are not decayed; they are the parameters with one axis. */
export const loopSettings = (settings: StoryworldSettings): LoopSettings => ({
  steps: settings.steps,
  accumulate: settings.accumulate,
  schedule: { peak: settings.rate, warmUp: settings.warmUp, floor: settings.floor },
  clip: settings.clip,
  optimiser: {
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    groupOf: ({ shape }) => ({ weightDecay: shape.length > 1 ? settings.weightDecay : 0 }),
  },
  checkpointEvery: settings.checkpointEvery,
  evaluateEvery: settings.evaluateEvery,
})

/** What a resumed run must agree on; how often it saves and evaluates is free, and so are later evaluations. */
export function identityOf(settings: StoryworldSettings, config: unknown, tokenizerHash: string): string {
  const { steps, rows, columns, accumulate, seed, rate, warmUp, floor, clip, weightDecay } = settings
  const kept = { steps, rows, columns, accumulate, seed, rate, warmUp, floor, clip, weightDecay }
  return JSON.stringify({ what: 'storyworld', ...kept, tokenizerHash, config })
}
