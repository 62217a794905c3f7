/** Training a sparse autoencoder or a transcoder on a model's activations, as a job that ends with a SAELens folder. */
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { dictionaryInput, type DictionaryJob, type DictionaryResult } from '../../../preload/training'
import { Dictionary } from '../../training/dictionary/dictionary'
import { architectureOf } from '../../training/dictionary/saelens-config'
import { saveSaelensFolder, type SavedDictionary } from '../../training/dictionary/saelens-folder'
import { dictionarySettings, type DictionarySettings } from '../../training/dictionary/settings'
import { lossRecovered, type SplicedLoss, type SpliceRequest } from '../../training/dictionary/splice'
import { dictionaryStatistics } from '../../training/dictionary/statistics'
import { trainDictionary } from '../../training/dictionary/train'
import { modelActivations, type ModelActivations } from '../../training/stream/from-model'
import type { JobKind } from '../kind'
import { rowsOfTexts, type TextRows } from './dictionary-texts'
import { positionwise, runsOf, type OpenJobModel } from './job-model'
import { loopOptions } from './loop-job'

/** Texts of one run of the model. */
const TOGETHER = 8
/** Held-out texts on which the loss is measured, and how many at once: logits at every position are large. */
const SPLICED_TEXTS = 32
const SPLICED_TOGETHER = 4
/** Activations that are shuffled together, at most. */
const BUFFER_ROWS = 65_536

export const dictionaryJob = (open: OpenJobModel): JobKind<DictionaryJob> => ({
  name: 'dictionary',
  input: dictionaryInput,
  title: ({ activation, dSae, hook, outputHook }) =>
    outputHook === null
      ? `Train a ${activation} dictionary of ${dSae} features at ${hook}`
      : `Train a ${activation} transcoder of ${dSae} features from ${hook} to ${outputHook}`,
  run: async (input, context) => {
    const { folder, signal } = context
    // What could not be saved is refused before it is trained.
    architectureOf({ activation: input.activation, transcoder: input.outputHook !== null, skip: false })
    const model = await open(input.model, signal)
    const { hook, width } = positionwise(model, input.hook)
    const output = input.outputHook === null ? null : positionwise(model, input.outputHook)
    const rows = await rowsOfTexts(model, input, folder, signal)
    const { fingerprint, name: modelName } = model.facts
    const run = runsOf(model, signal)
    const { firstPosition } = input
    const activations = (texts: ModelActivations['texts']): ReturnType<typeof modelActivations> =>
      modelActivations({ run, model: fingerprint, hook, width, output, texts, firstPosition })
    const provenance = {
      modelName,
      fingerprint,
      hook,
      outputHook: output?.hook ?? null,
      prependBos: prependedBos(input),
    }
    const { outcome, dictionary } = await trainDictionary(
      activations((skip) => rounds(rows.training, skip)),
      settingsOf(input, rows),
      provenance,
      loopOptions(context, input.steps, ['l0', 'explained_variance', 'dead']),
    )
    if (outcome.kind === 'paused') return { kind: 'paused' }
    const saved = path.join(folder, 'dictionary')
    await saveSaelensFolder(saved, dictionary)
    context.report({ done: input.steps, total: input.steps, what: 'Judging it on held-out texts' })
    const heldOut = activations((skip) => batches(rows.heldOut).slice(skip))
    const spliced = rows.heldOut.slice(0, SPLICED_TEXTS)
    const judged = await withDictionary(dictionary, async (ready) => ({
      statistics: await dictionaryStatistics(ready, heldOut),
      loss: await splicedLoss({ run, dictionary: ready, model: fingerprint, rows: spliced, firstPosition }),
    }))
    const { rows: judgedRows, l0, explainedVariance, squaredError, dead } = judged.statistics
    return {
      kind: 'done',
      result: {
        kind: 'dictionary',
        modelName,
        fingerprint,
        hook,
        outputHook: output?.hook ?? null,
        folder: saved,
        statistics: {
          rows: judgedRows,
          l0,
          explainedVariance: finiteOrNull(explainedVariance),
          squaredError,
          dead,
        },
        loss: { ...judged.loss, recovered: finiteOrNull(judged.loss.recovered) },
      } satisfies DictionaryResult,
    }
  },
})

function settingsOf(
  { firstPosition, rows: batch, ...input }: DictionaryJob,
  { training }: TextRows,
): DictionarySettings {
  const there = training.reduce((sum, row) => sum + Math.max(0, row.length - firstPosition), 0)
  if (there < batch)
    throw new PatchbayError(
      'input.invalid',
      `The texts have ${there} positions to train on, fewer than a batch of ${batch}.`,
      { field: 'rows', next: 'Give more texts, or smaller batches.' },
    )
  const { activation, dSae, k, sparsity, steps, rate, deadAfter, checkpointEvery, seed } = input
  return dictionarySettings.parse({
    activation,
    dSae,
    k,
    sparsity,
    steps,
    rows: batch,
    rate,
    deadAfter,
    checkpointEvery,
    seed,
    warmUp: Math.min(100, Math.floor(steps / 10)),
    // Few texts come round again and again; there is no use in having each of them several times in the buffer.
    buffer: Math.max(batch, Math.min(BUFFER_ROWS, there)),
  })
}

/** As `lossRecovered`, a few texts at a time. */
async function splicedLoss(request: SpliceRequest): Promise<SplicedLoss> {
  const parts: SplicedLoss[] = []
  for (const rows of batches(request.rows, SPLICED_TOGETHER))
    parts.push(await lossRecovered({ ...request, rows }))
  const tokens = parts.reduce((sum, part) => sum + part.tokens, 0)
  const mean = (name: 'original' | 'spliced' | 'zeroed'): number =>
    parts.reduce((sum, part) => sum + (part[name] * part.tokens) / tokens, 0)
  const [original, spliced, zeroed] = [mean('original'), mean('spliced'), mean('zeroed')]
  return { original, spliced, zeroed, recovered: (zeroed - spliced) / (zeroed - original), tokens }
}

const batches = <Row>(rows: readonly Row[], together = TOGETHER): Row[][] =>
  Array.from({ length: Math.ceil(rows.length / together) }, (_, i) =>
    rows.slice(i * together, (i + 1) * together),
  )

/** The batches, round after round, behind the first `skip`. */
function* rounds(rows: readonly number[][], skip: number): Generator<number[][]> {
  const all = batches(rows)
  for (let i = skip; ; i++) yield all[i % all.length]
}

async function withDictionary<T>(
  saved: SavedDictionary,
  work: (dictionary: Dictionary) => Promise<T>,
): Promise<T> {
  const dictionary = await Dictionary.create(saved)
  try {
    return await work(dictionary)
  } finally {
    await dictionary.release()
  }
}

/** As SAELens' files say it; null where it was the model's or its template's to say. */
const prependedBos = ({ bos, template }: DictionaryJob): boolean | null =>
  template === 'chat' || bos === 'model' ? null : bos === 'always'

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null)
