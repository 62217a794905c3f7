/** Trains storyworld: corpus, model and loop put together, with its curve, evaluations and the model folder it ends in. */
import { access, readFile } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { StoryworldSettings } from '../../../preload/storyworld'
import { writeWhole } from '../../files/durable-file'
import { families } from '../../models/architectures/registry'
import type { TransformerSpec } from '../../models/spec'
import { loadTokenizerFromFolder, type Tokenizer } from '../../models/tokenizer'
import { TrainableModel, type TokenBatch } from '../language-model/model'
import { freshParameters } from '../language-model/parameters'
import { saveModelFolder } from '../language-model/save'
import { train, type LoopOptions } from '../loop/loop'
import type { LoopOutcome, TrainingTask } from '../loop/types'
import { SeededRandom } from '../random'
import { CorpusStream } from './corpus'
import { evaluateStoryworld } from './evaluate'
import { identityOf, loopSettings } from './settings'

export interface StoryworldRun {
  /** A model folder, of which configuration and tokenizer are used and the weights are not. */
  readonly source: string
  /** Gets `checkpoint.safetensors`, `loss.csv`, `loss.json`, `loss.svg`, `accuracy.json` and the folder `model`. */
  readonly out: string
  readonly settings: StoryworldSettings
  readonly resume: boolean
  readonly signal?: AbortSignal
  readonly pause?: AbortSignal
  readonly onStep?: LoopOptions['onStep']
  readonly onEvaluation?: LoopOptions['onEvaluation']
  /** The text worker's script; found by itself unless given. */
  readonly workerUrl?: URL
}

/**
 * @throws PatchbayError `input.invalid` where a checkpoint lies in `out` and the run is not to be resumed, and what `train`
 *   throws
 */
export async function trainStoryworld(run: StoryworldRun): Promise<LoopOutcome> {
  const { source, out, settings, resume } = run
  const checkpoint = path.join(out, 'checkpoint.safetensors')
  if (!resume) await refuseExisting(checkpoint)
  const { model, task, identity, release } = await freshStoryworld(source, settings, run.workerUrl)
  try {
    return await train(task, loopSettings(settings), {
      checkpoint,
      identity,
      resume,
      signal: run.signal,
      pause: run.pause,
      onStep: run.onStep,
      onEvaluation: run.onEvaluation,
      onCheckpoint: async (_, curve) => {
        await curve.write(path.join(out, 'loss'))
        const last = curve.evaluations.at(-1)
        if (last !== undefined)
          await writeWhole(path.join(out, 'accuracy.json'), JSON.stringify(last, null, 1))
        await saveModelFolder(path.join(out, 'model'), source, model.parameters)
      },
    })
  } finally {
    await release()
  }
}

export interface FreshStoryworld {
  readonly model: TrainableModel
  readonly task: TrainingTask<TokenBatch>
  /** Names what is trained and how. */
  readonly identity: string
  readonly release: () => Promise<void>
}

/**
 * An untrained model and the task of training it.
 * @param source a model folder, of which configuration and tokenizer are used
 * @throws PatchbayError `file.missing`, `file.malformed`, `model.unknown-architecture`, `model.unsupported`
 */
export async function freshStoryworld(
  source: string,
  settings: StoryworldSettings,
  workerUrl?: URL,
): Promise<FreshStoryworld> {
  const config = await readConfig(source)
  const spec = specOf(config)
  const parameters = freshParameters(spec, new SeededRandom(settings.seed), initialDeviation(config))
  const tokenizer = await loadTokenizerFromFolder(source, { workerUrl })
  try {
    const model = await TrainableModel.create(spec, parameters)
    return {
      model,
      task: taskOf(model, tokenizer, settings),
      identity: identityOf(settings, config, tokenizer.tokenizerHash),
      release: async () => {
        await model.release()
        await tokenizer.close()
      },
    }
  } catch (error) {
    await tokenizer.close()
    throw error
  }
}

function taskOf(
  model: TrainableModel,
  tokenizer: Tokenizer,
  { seed, rows, columns, questions }: StoryworldSettings,
): TrainingTask<TokenBatch> {
  const encode = (text: string): Promise<number[]> => tokenizer.encode(text)
  const corpus = new CorpusStream(seed, encode)
  return {
    parameters: model.parameters,
    next: () => corpus.next(rows, columns),
    compute: (batch) => model.compute(batch),
    evaluate: () => evaluateStoryworld((some) => model.nextLogits(some), encode, questions),
    state: corpus,
  }
}

async function refuseExisting(checkpoint: string): Promise<void> {
  const there = await access(checkpoint).then(
    () => true,
    () => false,
  )
  if (there)
    throw new PatchbayError('input.invalid', 'There is a checkpoint in that folder already.', {
      file: checkpoint,
      next: 'Resume it, or choose another folder.',
    })
}

async function readConfig(folder: string): Promise<unknown> {
  const file = path.join(folder, 'config.json')
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw asPatchbayError(error)
    throw new PatchbayError('file.malformed', 'config.json is not JSON.', { file, cause: error })
  }
}

/** A new model's tensors have the names that its configuration gives them. @throws `model.unknown-architecture` */
function specOf(config: unknown): TransformerSpec {
  const type =
    typeof config === 'object' && config !== null && 'model_type' in config ? config.model_type : null
  const family = families.find(({ modelTypes }) => typeof type === 'string' && modelTypes.includes(type))
  if (family !== undefined) return family.read(config, new Map())
  throw new PatchbayError(
    'model.unknown-architecture',
    'config.json names no architecture that Patchbay knows.',
    {
      field: 'model_type',
    },
  )
}

function initialDeviation(config: unknown): number {
  const given =
    typeof config === 'object' && config !== null && 'initializer_range' in config
      ? config.initializer_range
      : null
  return typeof given === 'number' && given > 0 ? given : 0.02
}
