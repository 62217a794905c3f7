/** Extracting a data set's activations, as a job that ends with a collection. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import { extractInput, type ExtractJob, type ExtractResult } from '../../../preload/extraction'
import type { ModelSource } from '../../../preload/model'
import type { ActivationStore } from '../../cache/store/store'
import { newCollectionId, type Collections } from '../../collections/collections'
import type { CollectionWriter } from '../../collections/writer'
import { prepareRows, type RowEncoder } from '../../datasets'
import type { PresetVectors } from '../../extraction/directions'
import { chooseMode } from '../../extraction/mode'
import { ExtractionPlan } from '../../extraction/plan'
import { runExtraction } from '../../extraction/run'
import type { ExtractionModel } from '../../extraction/subject'
import { writeWhole } from '../../files/durable-file'
import type { JobContext, JobKind } from '../kind'

export interface ExtractJobParts {
  /** Opens the model so that the process stays within so many bytes, or within what is free. */
  readonly open: (
    source: ModelSource,
    memory: number | null,
    signal: AbortSignal,
  ) => Promise<ExtractionModel & RowEncoder>
  readonly collections: Pick<Collections, 'create' | 'has' | 'resume'>
  /** The activation store; null where it can not be opened. */
  readonly store: () => Promise<ActivationStore | null>
  readonly presetVectors: PresetVectors
}

export const extractJob = (parts: ExtractJobParts): JobKind<ExtractJob> => ({
  name: 'extract',
  input: extractInput,
  title: ({ name }) => `Extract “${name}”`,
  run: async (input, context) => {
    const { signal, pause, folder } = context
    const store = await parts.store()
    if (store === null)
      throw new PatchbayError('disk.failed', 'The activation store can not be opened.', {
        next: 'Run `patchbay cache verify`, which says what is wrong with it, and resume the job.',
      })
    const model = await parts.open(input.model, input.memory, signal)
    const { mode } = chooseMode(model, input.mode)
    const plan = await ExtractionPlan.create(model, input.outputs, parts.presetVectors)
    try {
      const writer = await begun(parts, model, plan, input, context)
      try {
        const { memoryBudget } = model.description.source
        const report = await runExtraction({
          model,
          plan,
          writer,
          store,
          mode,
          memory: input.memory ?? memoryBudget,
          weights: weightBytes(model, input.memory ?? memoryBudget),
          folder,
          signal,
          pause,
          onProgress: ({ done, total, what, tokensPerSecond }) =>
            context.report({ done, total, what, numbers: { 'tokens/s': tokensPerSecond } }),
        })
        if (report.state === 'paused') return { kind: 'paused' }
        const { manifest, id } = writer.collection
        return {
          kind: 'done',
          result: {
            kind: 'extract',
            collection: id,
            rows: writer.collection.length,
            failures: report.failures,
            tokens: manifest.tokens,
            tokensPerSecond: report.tokensPerSecond,
            bytes: Math.max(0, report.bytes),
          } satisfies ExtractResult,
        }
      } finally {
        await writer.close()
      }
    } finally {
      await plan.release()
    }
  },
})

const begunFile = z.strictObject({ version: z.literal(1), collection: z.string() })

/** The collection that this job began, or a new one, whose id is on the disk before anything of it is. */
async function begun(
  { collections }: ExtractJobParts,
  model: ExtractionModel & RowEncoder,
  plan: ExtractionPlan,
  { name, note, dataset }: ExtractJob,
  { folder, signal, report }: JobContext,
): Promise<CollectionWriter> {
  const file = path.join(folder, 'collection.json')
  const known = await collectionIn(file)
  if (known !== null && (await collections.has(known))) {
    const writer = await collections.resume(known)
    const { fingerprint, precision, provider } = writer.collection.manifest.provenance
    const { facts } = model
    if (fingerprint === facts.fingerprint && precision === facts.precision && provider === facts.provider)
      return writer
    await writer.close()
    throw new PatchbayError(
      'model.mismatch',
      'The extraction was begun with another model, or on another provider, whose numbers are not mixed with these.',
      { field: 'model', next: 'Resume it with the model as it was, or start a new extraction.' },
    )
  }
  const { fingerprint, name: modelName, precision, provider, patchbay } = model.facts
  const provenance = { fingerprint, modelName, precision, provider, patchbay, certificate: model.certificate }
  async function* items(): ReturnType<typeof prepareRows> {
    let rows = 0
    for await (const item of prepareRows(dataset, model, { signal })) {
      if (++rows % 100 === 0) report({ done: 0, total: 0, what: `${rows} rows read` })
      yield item
    }
  }
  const id = known ?? newCollectionId(name)
  await writeWhole(file, JSON.stringify({ version: 1, collection: id }))
  return collections.create({ name, note, provenance, dataset, outputs: plan.outputs }, items(), {
    signal,
    id,
  })
}

async function collectionIn(file: string): Promise<string | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const problem = asPatchbayError(error)
    if (problem.code === 'file.missing') return null
    throw problem
  }
  try {
    return begunFile.parse(JSON.parse(text)).collection
  } catch (cause) {
    throw new PatchbayError('file.malformed', 'The job’s folder does not say which collection it began.', {
      file,
      next: 'Start the extraction again; what is stored is not computed again.',
      cause,
    })
  }
}

/** Bytes of weights in memory: all, or what a budget leaves to them. */
function weightBytes({ description }: ExtractionModel, budget: number | null): number {
  const { parameterCount, parameters, source } = description
  const all =
    source.precision === 'quantised'
      ? parameters.reduce((sum, { bytes }) => sum + bytes, 0)
      : 4 * parameterCount
  return budget === null ? all : Math.min(all, budget)
}
