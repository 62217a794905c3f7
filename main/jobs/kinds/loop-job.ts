/** How a training loop runs inside a job: checkpoint and curve in the job's folder, progress a step. */
import path from 'node:path'
import type { LoopOptions } from '../../training/loop/loop'
import type { JobContext } from '../kind'

/** Base name of the loss curve in a job's folder: `loss.csv` and `loss.json` (see `Curve.write`). */
export const curveBase = 'loss'

type Options = Pick<LoopOptions, 'checkpoint' | 'resume' | 'signal' | 'pause' | 'onStep' | 'onCheckpoint'>

/**
 * Options of a loop of `steps` steps. The curve is written with each checkpoint.
 * @param metrics names of the loop's further numbers to show with the loss
 */
export function loopOptions(
  { folder, signal, pause, report }: JobContext,
  steps: number,
  metrics: readonly string[],
): Options {
  return {
    checkpoint: path.join(folder, 'checkpoint.safetensors'),
    resume: true,
    signal,
    pause,
    onStep: ({ step, loss, metrics: all }) =>
      report({
        done: step + 1,
        total: steps,
        what: `Step ${step + 1} of ${steps}`,
        numbers: { loss, ...Object.fromEntries(metrics.map((name) => [name, all[name] ?? 0])) },
      }),
    onCheckpoint: (_, curve) => curve.write(path.join(folder, curveBase)),
  }
}
