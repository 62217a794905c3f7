/** Training storyworld as a job: its checkpoint, curve and model lie in the job's folder. */
import { storyworldSettings, type StoryworldSettings } from '../../training/storyworld/settings'
import { trainStoryworld } from '../../training/storyworld/train'
import type { TrainingResult } from '../../../preload/training'
import type { JobKind } from '../kind'

/**
 * @param source the folder of the model whose configuration and tokenizer are used
 * @param workerUrl the text worker's script; found by itself unless given
 */
export const trainStoryworldJob = (source: string, workerUrl?: URL): JobKind<StoryworldSettings> => ({
  name: 'train.storyworld',
  input: storyworldSettings,
  title: ({ steps }) => `Train storyworld for ${steps} steps`,
  run: async (settings, { folder, signal, pause, report }) => {
    const outcome = await trainStoryworld({
      source,
      out: folder,
      settings,
      resume: true,
      signal,
      pause,
      workerUrl,
      onStep: ({ step, loss, rate }) =>
        report({
          done: step + 1,
          total: settings.steps,
          what: `Step ${step + 1} of ${settings.steps}`,
          numbers: { loss, rate },
        }),
    })
    if (outcome.kind === 'paused') return { kind: 'paused' }
    return { kind: 'done', result: { kind: 'storyworld', steps: outcome.step } satisfies TrainingResult }
  },
})
