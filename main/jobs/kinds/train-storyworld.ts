/** Training storyworld as a job: its checkpoint, curve and model lie in the job's folder. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError } from '../../../preload/errors'
import { storyworldSettings, type StoryworldSettings } from '../../../preload/storyworld'
import { accuracyMark, type StoryworldResult } from '../../../preload/training'
import { trainStoryworld } from '../../training/storyworld/train'
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
    let accuracy = await keptAccuracy(path.join(folder, 'accuracy.json'))
    const outcome = await trainStoryworld({
      source,
      out: folder,
      settings,
      resume: true,
      signal,
      pause,
      workerUrl,
      onEvaluation: ({ values }) => {
        accuracy = values
      },
      onStep: ({ step, loss, rate }) =>
        report({
          done: step + 1,
          total: settings.steps,
          what: `Step ${step + 1} of ${settings.steps}`,
          numbers: { loss, rate, ...marked(accuracy) },
        }),
    })
    if (outcome.kind === 'paused') return { kind: 'paused' }
    return {
      kind: 'done',
      result: {
        kind: 'storyworld',
        steps: outcome.step,
        model: path.join(folder, 'model'),
        accuracy: { ...accuracy },
      } satisfies StoryworldResult,
    }
  },
})

type Accuracy = Readonly<Record<string, number>>

const marked = (accuracy: Accuracy): Record<string, number> =>
  Object.fromEntries(Object.entries(accuracy).map(([family, value]) => [accuracyMark + family, value]))

const evaluation = z.object({ values: z.record(z.string(), z.number()) })

/** The last evaluation before a pause; none where there is none that can be read, as the next one comes anyway. */
async function keptAccuracy(file: string): Promise<Accuracy> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const problem = asPatchbayError(error)
    if (problem.code === 'file.missing') return {}
    throw problem
  }
  const parsed = evaluation.safeParse(jsonOrUndefined(text))
  return parsed.success ? parsed.data.values : {}
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
