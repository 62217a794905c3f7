/**
 * `extract`: the residual stream at every point of 256 prompts of 64 tokens, as float16 to disk, beside the same forward
 * passes without storing anything; and block by block under a memory budget beside all in memory. Peak memory of each is
 * measured in a process of its own.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { z } from 'zod'
import { datasetSpec } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { extractOutput } from '../../../preload/extraction'
import { residualPoints } from '../../../preload/hooks'
import { ActivationStore } from '../../cache/store/store'
import { Collections } from '../../collections/collections'
import type { NewItem } from '../../collections/create'
import type { OpenModel } from '../../engine/open-model'
import { ExtractionPlan } from '../../extraction/plan'
import { runExtraction } from '../../extraction/run'
import { requireSpace } from '../../files/durable-file'
import { withModel, type ModelOptions } from '../session'
import { childArguments, untilPrinted, type Restart } from './child'
import { highest } from './highest'
import { measurePair } from './measure'
import { MEASURED } from './measure-child'
import { sampleTokens, type BenchContext, type TaskResult } from './tasks'

const PROMPTS = 256
const LENGTH = 64
/** Tokens of a batch, in extractions and in the passes beside them. */
const TOGETHER = 1024
/** Bytes that the process may take, weights included, when it extracts block by block. */
const BUDGET = 400e6
/** A process measures some and tells the fastest. */
const PASSES = 2

export const extractions = ['forward', 'row-major', 'layer-major'] as const
export type Extraction = (typeof extractions)[number]

const measurement = z.object({ seconds: z.number(), cpu_seconds: z.number(), peak_mb: z.number() })
type Measurement = z.infer<typeof measurement>

export async function extract({ model, runs }: BenchContext, restart: Restart): Promise<TaskResult> {
  return withScratch(async (scratch) => {
    const pair = await measurePair(
      () => extracted(model, 'row-major', scratch),
      () => passes(model),
      Math.min(3, runs),
    )
    const forward = await measured(restart, 'forward')
    const inMemory = await measured(restart, 'row-major')
    const byBlock = await measured(restart, 'layer-major')
    const tokens = PROMPTS * LENGTH
    return {
      task: 'extract',
      ...pair.ours,
      detail: {
        tokens,
        points: model.facts.layers + 1,
        tokens_per_s: tokens / pair.ours.median_s,
        forward_tokens_per_s: tokens / pair.floor.median_s,
        speed: 1 / pair.ratio,
        speed_best: 1 / pair.ratio_min,
        speed_cpu: forward.cpu_seconds / inMemory.cpu_seconds,
        peak_mb: inMemory.peak_mb,
        forward_peak_mb: forward.peak_mb,
        memory_ratio: inMemory.peak_mb / forward.peak_mb,
        budget_mb: BUDGET / 1e6,
        layer_major_peak_mb: byBlock.peak_mb,
        layer_major_tokens_per_s: tokens / byBlock.seconds,
        layer_major_speed: inMemory.seconds / byBlock.seconds,
        layer_major_speed_cpu: inMemory.cpu_seconds / byBlock.cpu_seconds,
      },
    }
  })
}

async function measured(restart: Restart, what: Extraction): Promise<Measurement> {
  const budget = what === 'layer-major' ? ['--memory-budget', String(BUDGET)] : []
  const child = [...childArguments(restart), ...budget, '--child-extract', what]
  const { text } = await untilPrinted(child, MEASURED)
  return measurement.parse(JSON.parse(text))
}

/** In a process of its own: some extractions, or as many forward passes; the fastest, and the highest memory in MB. */
export async function measureExtraction(options: ModelOptions, what: Extraction): Promise<void> {
  await withModel(options, async (engine, { handle }) => {
    const model = await engine.models.get(handle)
    await withScratch(async (scratch) => {
      const took: Omit<Measurement, 'peak_mb'>[] = []
      for (let i = 0; i < PASSES; i++) {
        const start = performance.now()
        const before = process.cpuUsage()
        await (what === 'forward' ? passes(model) : extracted(model, what, scratch))
        const { user, system } = process.cpuUsage(before)
        took.push({ seconds: (performance.now() - start) / 1000, cpu_seconds: (user + system) / 1e6 })
      }
      const [best] = took.sort((a, b) => a.seconds - b.seconds)
      console.log(MEASURED + JSON.stringify({ ...best, peak_mb: (1.024 * (await highest())) / 1000 }))
    })
  })
}

const prompts = (model: OpenModel): number[][] => {
  const tokens = sampleTokens(model, PROMPTS * LENGTH)
  return Array.from({ length: PROMPTS }, (_, i) => tokens.slice(i * LENGTH, (i + 1) * LENGTH))
}

/** The same batches through the model, with nothing captured. */
async function passes(model: OpenModel): Promise<void> {
  const rows = prompts(model)
  const together = TOGETHER / LENGTH
  for (let first = 0; first < rows.length; first += together)
    await model.runnable.forward({
      start: { kind: 'tokens', rows: rows.slice(first, first + together) },
      logits: 'none',
    })
}

/** Extracts into a store that is empty; it is removed with the scratch folder, when nothing is timed. */
async function extracted(
  model: OpenModel,
  mode: 'row-major' | 'layer-major',
  scratch: string,
): Promise<void> {
  const folder = await mkdtemp(path.join(scratch, 'run-'))
  const store = await ActivationStore.open(path.join(folder, 'activations'), { producer: 'bench' })
  const collections = new Collections({
    folder: path.join(folder, 'collections'),
    store: () => Promise.resolve(store),
  })
  const outputs = [extractOutput.parse({ hooks: residualPoints(model.facts.layers), dtype: 'float16' })]
  const plan = await ExtractionPlan.create(model, outputs, noPresets)
  try {
    const { fingerprint, name: modelName, precision, provider, patchbay } = model.facts
    const provenance = { fingerprint, modelName, precision, provider, patchbay }
    const dataset = datasetSpec.parse({
      source: { kind: 'rows', rows: [] },
      prompt: { kind: 'tokens', column: 'tokens' },
    })
    const writer = await collections.create(
      { name: 'bench', note: '', provenance, dataset, outputs: plan.outputs },
      items(model),
    )
    await runExtraction({
      model,
      plan,
      writer,
      store,
      mode,
      memory: mode === 'layer-major' ? BUDGET : null,
      weights: 0,
      tokens: TOGETHER,
      folder: path.join(folder, 'job'),
      signal: new AbortController().signal,
      pause: new AbortController().signal,
      onProgress: () => undefined,
    })
    await writer.close()
  } finally {
    await plan.release()
    await collections.close()
    await store.close()
  }
}

const noPresets = (id: string): Promise<never> =>
  Promise.reject(new PatchbayError('input.invalid', `There is no preset ${id}.`))

async function* items(model: OpenModel): AsyncGenerator<NewItem> {
  for (const [row, ids] of prompts(model).entries()) {
    const tokens = await Promise.resolve(model.tokens(ids))
    yield {
      kind: 'row',
      row: {
        row,
        tokens: tokens.map((token) => ({ ...token, origin: 'text', start: null, end: null })),
        label: null,
        span: null,
        truncated: 0,
        notes: [],
        text: '',
        cells: {},
      },
    }
  }
}

async function withScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-extract-bench-'))
  try {
    await requireSpace(path.join(folder, 'values'), 4e9)
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
