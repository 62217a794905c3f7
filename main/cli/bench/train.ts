/**
 * `train`: updates of storyworld (forward, every weight's gradient, clipping, AdamW) from fresh weights, beside forward
 * passes of as many tokens through the same model.
 */
import path from 'node:path'
import { storyworldSettings } from '../../../preload/storyworld'
import { train as loop } from '../../training/loop/loop'
import { loopSettings } from '../../training/storyworld/settings'
import { freshStoryworld } from '../../training/storyworld/train'
import { directories } from '../directories'
import { measurePair } from './measure'
import type { TaskResult } from './tasks'

/** Updates that are timed together: one alone is too short to tell from noise. */
const STEPS = 5

export async function training(runs: number): Promise<TaskResult> {
  const settings = storyworldSettings.parse({ steps: STEPS, evaluateEvery: null })
  const { rows, columns } = settings
  const source = path.join(directories().assetsDir, 'models', 'storyworld')
  const { model, task, identity, release } = await freshStoryworld(source, settings)
  const forwards = async (): Promise<void> => {
    for (let step = 0; step < STEPS; step++) {
      const batch = await task.next()
      if (batch === null) return
      const width = columns + 1
      await model.nextLogits(
        Array.from({ length: rows }, (_, row) => [...batch.ids.subarray(row * width, (row + 1) * width - 1)]),
      )
    }
  }
  try {
    const { ours, floor, ratio, ratio_min } = await measurePair(
      () => loop(task, loopSettings(settings), { identity }),
      forwards,
      runs,
    )
    const tokens = STEPS * rows * columns
    return {
      task: 'train',
      ...ours,
      detail: {
        steps: STEPS,
        tokens,
        tokens_per_s: tokens / ours.median_s,
        forward_s: floor.median_s,
        ratio,
        ratio_min,
      },
    }
  } finally {
    await release()
  }
}
