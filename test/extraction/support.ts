/** Extractions of a small llama into scratch collections, as a job makes them. */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import { BlockStack } from '../../main/runtime'
import { allFused } from '../../main/runtime/graph/context'
import { placeWeights } from '../../main/runtime/placement'
import type { CollectionWriter } from '../../main/collections/writer'
import { ExtractionPlan } from '../../main/extraction/plan'
import {
  runExtraction,
  type ExtractionProgress,
  type ExtractionReport,
  type ExtractionRun,
} from '../../main/extraction/run'
import type { ExtractionModel } from '../../main/extraction/subject'
import { datasetSpec } from '../../preload/datasets'
import { PatchbayError } from '../../preload/errors'
import { extractOutput, type ExtractOutput } from '../../preload/extraction'
import type { Tensor } from '../../preload/tensor'
import { casesFolder } from '../support/cases'
import { itemsOf, place, type Place, type RowParts } from '../collections/fixture'

const fingerprint = 'ef'.repeat(32)

/** The llama of the reference cases as extractions see models. @param sessionBytes room for compiled blocks; all unless given */
export async function openLlama(sessionBytes?: number): Promise<ExtractionModel & { stack: BlockStack }> {
  const cacheDir = mkdtempSync(path.join(os.tmpdir(), 'patchbay-extraction-'))
  const checkpoint = await openCheckpoint(path.join(casesFolder, 'gguf', 'llama.gguf'))
  const spec = await readSpec(checkpoint)
  const weights = await placeWeights({ checkpoint, spec, fingerprint, precision: 'float32', cacheDir })
  const stack = new BlockStack({ spec, weights, provider: 'cpu', lowering: allFused, sessionBytes })
  onTestFinished(async () => {
    await stack.release()
    await checkpoint.close()
    rmSync(cacheDir, { recursive: true, force: true })
  })
  return {
    stack,
    runnable: stack,
    facts: {
      fingerprint,
      name: 'llama',
      family: 'llama',
      precision: 'float32',
      provider: 'cpu',
      layers: spec.blocks.length,
      dModel: spec.dModel,
      heads: spec.blocks[0].attention.heads,
      kvHeads: spec.blocks[0].attention.kvHeads,
      dHead: spec.blocks[0].attention.headDim,
      vocab: spec.vocab,
      contextLength: spec.contextLength,
      tokenizerHash: '0'.repeat(64),
      templateHash: null,
      hooks: new Set(),
      patchbay: 'test',
    },
    description: {
      parameterCount: 1000,
      parameters: [],
      source: { location: { kind: 'embedded' }, provider: 'cpu', precision: 'float32', memoryBudget: null },
    },
  }
}

export const noPresets = (id: string): Promise<Tensor> =>
  Promise.reject(new PatchbayError('input.invalid', `There is no preset ${id}.`))

export const planOf = async (
  model: ExtractionModel,
  outputs: Parameters<typeof extractOutput.parse>[0][],
  presets = noPresets,
): Promise<ExtractionPlan> => {
  const plan = await ExtractionPlan.create(
    model,
    outputs.map((output) => extractOutput.parse(output)),
    presets,
  )
  onTestFinished(() => plan.release())
  return plan
}

export interface Begun {
  model: ExtractionModel
  place: Place
  plan: ExtractionPlan
  writer: CollectionWriter
  /** Goes on with it. */
  run: (changes?: Partial<ExtractionRun>) => Promise<ExtractionReport>
}

/** A collection of rows, and what runs its extraction. */
export async function begin(
  model: ExtractionModel,
  rows: readonly RowParts[],
  outputs: (Partial<ExtractOutput> & { hooks: string[] })[],
  { presets = noPresets, at }: { presets?: typeof noPresets; at?: Place } = {},
): Promise<Begun> {
  const scratch = at ?? (await place())
  const plan = await planOf(model, outputs, presets)
  const { name: modelName, precision, provider, patchbay } = model.facts
  const writer = await scratch.collections.create(
    {
      name: 'Set',
      note: '',
      provenance: { fingerprint, modelName, precision, provider, patchbay },
      dataset: datasetSpec.parse({
        source: { kind: 'rows', rows: [] },
        prompt: { kind: 'tokens', column: 'tokens' },
      }),
      outputs: plan.outputs,
    },
    itemsOf(rows),
  )
  onTestFinished(() => writer.close())
  const run = (changes: Partial<ExtractionRun> = {}): Promise<ExtractionReport> =>
    runExtraction({
      model,
      plan,
      writer,
      store: scratch.store,
      mode: 'row-major',
      memory: null,
      weights: 0,
      folder: path.join(scratch.root, 'job'),
      signal: new AbortController().signal,
      pause: new AbortController().signal,
      onProgress: () => undefined,
      ...changes,
    })
  return { model, place: scratch, plan, writer, run }
}

/** Told of what is computed, not of what is looked up before and behind it. */
export const whileComputing =
  (onProgress: (progress: ExtractionProgress) => void): ExtractionRun['onProgress'] =>
  (progress) => {
    if (!/^(Looking for|Checking) what is stored/.test(progress.what)) onProgress(progress)
  }

/** Rows of several lengths, so that batches are padded; two of them equal. */
export const someRows: RowParts[] = [
  [5, 17, 99, 23, 42, 7, 88, 3],
  [140, 2, 64, 9, 31],
  [77],
  [5, 17, 99, 23, 42, 7, 88, 4],
  [11, 12, 13],
  [140, 2, 64, 9, 31],
  [1, 100, 30, 4, 5, 6],
].map((tokens) => ({ tokens }))

/** The largest |a − b| over the largest |b|. */
export function relativeTo(b: Float32Array, a: Float32Array): number {
  if (a.length !== b.length) return Infinity
  let most = 0
  let largest = 0
  for (let i = 0; i < b.length; i++) {
    most = Math.max(most, Math.abs(a[i] - b[i]))
    largest = Math.max(largest, Math.abs(b[i]))
  }
  return most / largest
}
