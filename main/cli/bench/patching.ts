/**
 * Patching sweeps, each beside what a notebook does: one plain forward pass for each site. The floor is timed on some of them,
 * between the sweeps, and counted for all.
 */
import { runRequest } from '../../../preload/run'
import { sweepRequest, type SweepRequest, type SweepResult } from '../../../preload/sweep'
import { sizeOf } from '../../../preload/tensor'
import { sweep } from '../../analysis/patching/sweep'
import type { OpenModel } from '../../engine/open-model'
import { weightsOf } from '../../models/spec'
import { WaveSize } from '../../runtime/wave/size'
import { timing } from './measure'
import { peak } from './peak'
import type { BenchContext, Task, TaskResult } from './tasks'

const CLEAN = 'When Mary and John went to the store, John gave a drink to'
const CORRUPT = 'When John and Mary went to the store, Mary gave a drink to'
const [ANSWER, WRONG] = [' Mary', ' John']
/** Plain forwards that are timed beside each sweep. */
const FORWARDS = 40
const WARM = 3

/** Residual stream, every layer × every position. */
export const patchResid: Task = (context) =>
  sweepTask('patch_resid', context, { kind: 'grid', component: 'resid_pre', by: ['position'] })

/** Heads, every layer × every head, at all positions. */
export const patchHeads: Task = (context) =>
  sweepTask('patch_heads', context, { kind: 'grid', component: 'z', by: ['head'] })

/** Counts what waves compute, in tokens times blocks. */
class CountingSize extends WaveSize {
  work = 0
  override measured(size: number, tokens: number, work: number, seconds: number): Promise<void> {
    this.work += work
    return super.measured(size, tokens, work, seconds)
  }
}

async function sweepTask(
  task: string,
  { model, runs }: BenchContext,
  target: SweepRequest['target'],
): Promise<TaskResult> {
  const request = await requestOf(model, target)
  const plain = {
    request: runRequest.parse({
      model: model.facts.fingerprint,
      rows: [request.pairs[0].corrupt],
      logits: 'all',
    }),
    tensors: {},
  }
  const waveSize = new CountingSize()
  const { facts, certificate, runnable } = model
  const run = (): Promise<SweepResult> => sweep({ facts, certificate, runnable, waveSize }, request)
  const before = await peak()
  // Waves of all sizes are tried before anything is timed.
  for (let i = 0; i < WARM; i++) await run()
  const times: number[] = []
  const forwards: number[] = []
  let result = await run()
  for (let i = 0; i < Math.max(3, Math.ceil(runs / 2)); i++) {
    waveSize.work = 0
    times.push(await seconds(async () => (result = await run())))
    for (let j = 0; j < FORWARDS; j++) forwards.push(await seconds(() => model.compute(plain)))
  }
  const ours = timing(times)
  const floor = timing(forwards)
  const sites = result.raw.data.length
  const gflop = (2 * waveSize.work * blockParameters(model)) / 1e9
  const gemm = Math.max(before, await peak())
  return {
    task,
    ...ours,
    detail: {
      sites,
      mean: result.raw.data.reduce((sum, value) => sum + value, 0) / sites,
      sites_per_s: sites / ours.median_s,
      floor_s: floor.median_s * sites,
      faster: (floor.median_s * sites) / ours.median_s,
      faster_min: (floor.min_s * sites) / ours.min_s,
      gemm_peak_gflops: gemm,
      share_of_peak: gflop / ours.min_s / gemm,
    },
  }
}

async function requestOf({ tokenizer }: OpenModel, target: SweepRequest['target']): Promise<SweepRequest> {
  const encode = async (text: string): Promise<number[]> => [...(await tokenizer.encode(text))]
  return sweepRequest.parse({
    pairs: [{ clean: await encode(CLEAN), corrupt: await encode(CORRUPT) }],
    target,
    metrics: [
      {
        kind: 'logit-difference',
        positive: (await encode(ANSWER)).slice(0, 1),
        negative: (await encode(WRONG)).slice(0, 1),
      },
    ],
  })
}

/** Elements of the matrices of a block, on average. */
function blockParameters(model: OpenModel): number {
  const { blocks } = model.own.stack.spec
  const matrices = blocks.flatMap((block) => weightsOf(block)).filter(({ shape }) => shape.length === 2)
  return matrices.reduce((sum, { shape }) => sum + sizeOf(shape), 0) / blocks.length
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}
