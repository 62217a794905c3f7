/**
 * What `patchbay bench` times, each beside its floor in the same run: the whole model as one graph in plain
 * onnxruntime-node, which can neither capture nor change anything.
 */
import { residualPoints } from '../../../preload/hooks'
import { generateRequest, runRequest, type RunRequestInput } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import type { OpenModel } from '../../engine/open-model'
import type { WholeModel } from '../../runtime'
import { measurePair, type Timing } from './measure'

export interface TaskResult extends Timing {
  task: string
  detail: Record<string, unknown>
}

export interface BenchContext {
  model: OpenModel
  floor: WholeModel
  runs: number
}

export type Task = (context: BenchContext) => Promise<TaskResult>

const LENGTH = 128
const PROMPT_LENGTH = 14
const NEW_TOKENS = 64

/** 1×128 tokens, logits of the last position. */
export const forward: Task = async ({ model, floor, runs }) => {
  const tokens = sampleTokens(model, LENGTH)
  const input = request(model, tokens)
  const { ours, ...against } = await measurePair(() => uncached(model, input), once(floor, tokens), runs)
  return {
    task: 'forward',
    ...ours,
    detail: { tokens: LENGTH, floor_s: against.floor.median_s, ...ratios(against) },
  }
}

/** The same with the residual stream at all points, all patterns and all MLP outputs. */
export const capture: Task = async ({ model, runs }) => {
  const tokens = sampleTokens(model, LENGTH)
  const { layers } = model.facts
  const perLayer = Array.from({ length: layers }, (_, i) => [
    `blocks.${i}.attn.hook_pattern`,
    `blocks.${i}.hook_mlp_out`,
  ])
  const captures = [...residualPoints(layers), ...perLayer.flat()]
  const plain = request(model, tokens)
  const full = request(model, tokens, { captures })
  const { ours, ...against } = await measurePair(
    () => uncached(model, full),
    () => uncached(model, plain),
    runs,
  )
  return {
    task: 'capture',
    ...ours,
    detail: {
      tokens: LENGTH,
      arrays: captures.length,
      forward_s: against.floor.median_s,
      ...ratios(against),
    },
  }
}

/** 64 greedy tokens after 14, with a vector added to the residual stream in the middle of the model at every position. */
export const generation: Task = async ({ model, floor, runs }) => {
  const tokens = sampleTokens(model, PROMPT_LENGTH)
  const { layers, dModel, fingerprint } = model.facts
  const vector: Tensor = { shape: [dModel], data: new Float32Array(dModel).fill(0.05) }
  const steered = {
    request: generateRequest.parse({
      model: fingerprint,
      rows: [{ tokens }],
      interventions: [
        { hook: `blocks.${layers >> 1}.hook_resid_pre`, operation: { kind: 'add', value: 'vector' } },
      ],
      maxTokens: NEW_TOKENS,
      stopAtEos: false,
    }),
    tensors: { vector },
  }
  const { ours, ...against } = await measurePair(
    () => model.generate(steered),
    () => decode(floor, tokens),
    Math.max(3, Math.ceil(runs / 3)),
  )
  const detail = {
    new_tokens: NEW_TOKENS,
    tokens_per_s: NEW_TOKENS / ours.median_s,
    floor_s: against.floor.median_s,
    ...ratios(against),
  }
  return { task: 'generate', ...ours, detail }
}

/** Greedy decoding on the whole-model session, unsteered: what the same machine does at best. */
async function decode(floor: WholeModel, prompt: readonly number[]): Promise<void> {
  floor.reset()
  let next: readonly number[] = prompt
  for (let i = 0; i < NEW_TOKENS; i++) next = [argmax(await floor.feed(next, true))]
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

const once = (floor: WholeModel, tokens: readonly number[]) => (): Promise<unknown> => {
  floor.reset()
  return floor.feed(tokens, false)
}

const ratios = ({ ratio, ratio_min }: { ratio: number; ratio_min: number }) => ({ ratio, ratio_min })

const request = (model: OpenModel, tokens: number[], more: Partial<RunRequestInput> = {}) => ({
  request: runRequest.parse({ model: model.facts.fingerprint, rows: [tokens], logits: 'last', ...more }),
  tensors: {},
})

/** A run of the sessions, whatever is kept in memory. */
const uncached = (model: OpenModel, input: Parameters<OpenModel['compute']>[0]): Promise<unknown> =>
  model.compute(input)

/** The same token ids for everyone, all over the vocabulary. */
export const sampleTokens = ({ facts }: OpenModel, length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 7919 + 17) % facts.vocab)

export const tasks = { forward, capture, generate: generation } as const satisfies Record<string, Task>
