/**
 * `attribution`: one forward and backward pass that gives the gradients of a logit difference at every layer's residual
 * stream and z, beside the model's own forward pass; and the peak memory of each on a long prompt, in processes of their own.
 */
import { z } from 'zod'
import { runRequest, type RunInput, type RunRequestInput } from '../../../preload/run'
import type { OpenModel } from '../../engine/open-model'
import { withModel, type ModelOptions } from '../session'
import { childArguments, untilPrinted, type Restart } from './child'
import { highest } from './highest'
import { measurePair } from './measure'
import { MEASURED } from './measure-child'
import { sampleTokens, type BenchContext, type TaskResult } from './tasks'

const SHORT = 16
const LENGTH = 128
const LONG = 512
/** Passes of a child: memory that the first one takes may be needed again. */
const PASSES = 3

export const measuredPasses = ['forward', 'backward'] as const
export type MeasuredPass = (typeof measuredPasses)[number]

const measurement = z.object({ peak_mb: z.number() })

export async function attribution({ model, runs }: BenchContext, restart: Restart): Promise<TaskResult> {
  const pair = (length: number) => {
    const tokens = sampleTokens(model, length)
    return measurePair(
      () => model.compute(gradients(model, tokens)),
      () => model.compute(input(model, tokens, { logits: 'last' })),
      runs,
    )
  }
  const short = await pair(SHORT)
  const long = await pair(LENGTH)
  const peakOf = async (pass: MeasuredPass): Promise<number> => {
    const child = [...childArguments(restart), '--child-peak', pass]
    const { text } = await untilPrinted(child, MEASURED)
    return measurement.parse(JSON.parse(text)).peak_mb
  }
  const forward = await peakOf('forward')
  const backward = await peakOf('backward')
  return {
    task: 'attribution',
    ...long.ours,
    detail: {
      tokens: LENGTH,
      gradients: 2 * model.facts.layers,
      forward_s: long.floor.median_s,
      ratio: long.ratio,
      ratio_min: long.ratio_min,
      short_tokens: SHORT,
      short_s: short.ours.median_s,
      short_forward_s: short.floor.median_s,
      short_ratio: short.ratio,
      short_ratio_min: short.ratio_min,
      memory_tokens: LONG,
      peak_mb: backward,
      forward_peak_mb: forward,
      memory_ratio: backward / forward,
    },
  }
}

/** In a process of its own: a few passes over a long prompt, then the highest resident memory from the start, in MiB. */
export async function measurePeak(options: ModelOptions, pass: MeasuredPass): Promise<void> {
  await withModel(options, async (engine, { handle }) => {
    const model = await engine.models.get(handle)
    const tokens = sampleTokens(model, LONG)
    const captures = residuals(model)
    const run =
      pass === 'backward' ? gradients(model, tokens) : input(model, tokens, { captures, logits: 'last' })
    for (let i = 0; i < PASSES; i++) await model.compute(run)
    console.log(MEASURED + JSON.stringify({ peak_mb: (await highest()) / 1024 }))
  })
}

function gradients(model: OpenModel, tokens: number[]): RunInput {
  const z = Array.from({ length: model.facts.layers }, (_, layer) => `blocks.${layer}.attn.hook_z`)
  const metric = { kind: 'logit-difference' as const, positive: [tokens[0]], negative: [tokens[1]] }
  return input(model, tokens, { logits: 'none', backward: { metric, hooks: [...residuals(model), ...z] } })
}

const residuals = ({ facts }: OpenModel): string[] =>
  Array.from({ length: facts.layers }, (_, layer) => `blocks.${layer}.hook_resid_pre`)

const input = (model: OpenModel, tokens: number[], more: Partial<RunRequestInput>): RunInput => ({
  request: runRequest.parse({ model: model.facts.fingerprint, rows: [tokens], ...more }),
  tensors: {},
})
