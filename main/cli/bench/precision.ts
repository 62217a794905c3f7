/**
 * `import`: from the start of a process to the first logits of a model whose weights were never prepared, beside the same
 * with everything prepared. `precision`: speed and memory of the quantised model beside float32, each in a process of its own.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import type { Precision } from '../../../preload/run'
import type { OpenModel } from '../../engine/open-model'
import { childArguments, untilPrinted, type Restart } from './child'
import { pairOf, timing } from './measure'
import { MEASURED, measurement, NEW_TOKENS, type Measurement } from './measure-child'
import { DONE } from './startup-child'
import { sampleTokens, type BenchContext, type TaskResult } from './tasks'

const LENGTH = 128

/** Whether the model can be opened quantised. */
const isQuantisable = ({ own }: OpenModel): boolean =>
  own.forecasts.some(({ precision }) => precision === 'quantised')

/** From spawning a process to the first logits, in each precision, with caches that are empty and caches that are full. */
export async function importing({ model, runs }: BenchContext, restart: Restart): Promise<TaskResult> {
  const tokens = sampleTokens(model, LENGTH)
  const precisions: Precision[] = isQuantisable(model) ? ['float32', 'quantised'] : ['float32']
  const folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-import-'))
  const times = new Map<string, number[]>()
  try {
    for (let i = 0; i < runs; i++)
      for (const precision of precisions) {
        const environment = { PATCHBAY_CACHE: path.join(folder, `${precision}-${i}`), PATCHBAY_DATA: folder }
        const child = [...childArguments(restart), '--precision', precision, '--child-tokens', tokens.join()]
        for (const state of ['first', 'again']) {
          const { seconds } = await untilPrinted(child, DONE, environment)
          const key = `${precision} ${state}`
          times.set(key, [...(times.get(key) ?? []), seconds])
        }
        await rm(environment.PATCHBAY_CACHE, { recursive: true, force: true })
      }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const pair = (a: string, b: string) => pairOf(times.get(a) ?? [], times.get(b) ?? [])
  const { ours, floor, ratio } = pair('float32 first', 'float32 again')
  const detail: Record<string, unknown> = { tokens: LENGTH, again_s: floor.median_s, ratio }
  if (precisions.includes('quantised')) {
    const quantised = pair('quantised first', 'float32 first')
    detail.quantised_s = quantised.ours.median_s
    detail.quantised_again_s = timing(times.get('quantised again') ?? []).median_s
    detail.quantised_ratio = quantised.ratio
  }
  return { task: 'import', ...ours, detail }
}

/** 64 greedy tokens quantised, beside float32; memory of both. */
export async function precision({ model, runs }: BenchContext, restart: Restart): Promise<TaskResult> {
  if (!isQuantisable(model))
    throw new PatchbayError(
      'input.invalid',
      `${model.description.name} has no matrices that could stay quantised.`,
      {
        next: 'Give a GGUF file in 4- or 8-bit block types, or leave the task precision out.',
      },
    )
  const results: Record<Precision, Measurement[]> = { float32: [], quantised: [] }
  for (let i = 0; i < runs; i++)
    for (const kind of ['float32', 'quantised'] as const) {
      const child = [...childArguments(restart), '--precision', kind, '--child-measure']
      const { text } = await untilPrinted(child, MEASURED)
      results[kind].push(measurement.parse(JSON.parse(text)))
    }
  const pair = (of: (one: Measurement) => number) =>
    pairOf(results.quantised.map(of), results.float32.map(of))
  const decode = pair(({ decode_s }) => decode_s)
  const forward = pair(({ forward_s }) => forward_s)
  const memory = pair(({ rss_mb }) => rss_mb)
  const opened = pair(({ opened_mb }) => opened_mb)
  return {
    task: 'precision',
    ...decode.ours,
    detail: {
      new_tokens: NEW_TOKENS,
      tokens_per_s: NEW_TOKENS / decode.ours.median_s,
      float32_s: decode.floor.median_s,
      ratio: decode.ratio,
      ratio_min: decode.ratio_min,
      forward_ratio: forward.ratio,
      memory_mb: memory.ours.median_s,
      float32_memory_mb: memory.floor.median_s,
      memory_ratio: memory.ratio,
      opened_memory_ratio: opened.ratio,
    },
  }
}
