/** Captures of one prompt: the run that views make, with hook points checked against the model, and the batch axis taken off. */
import { PatchbayError } from '../../preload/errors'
import { hookName, parseHook, residualPoints, type HookPoint } from '../../preload/hooks'
import { runRequest, type RunInput } from '../../preload/run'
import { sizeOf, type Tensor } from '../../preload/tensor'
import type { Evidence } from '../../preload/views'
import { evidenceOf } from './evidence'
import type { AnalysisModel, RunOptions } from './subject'

/**
 * A hook point of the model by name or alias.
 * @throws PatchbayError `hook.unknown` for a name that is none, `hook.unavailable` for one that this model does not have
 */
export function hookOf({ facts }: AnalysisModel, name: string): HookPoint {
  const point = parseHook(name)
  if (point === null)
    throw new PatchbayError(
      'hook.unknown',
      `There is no hook point named ${JSON.stringify(name.slice(0, 200))}.`,
      {
        field: 'hook',
        next: 'Choose one of the hook points that the Layers view lists.',
      },
    )
  if (!facts.hooks.has(hookName(point)))
    throw new PatchbayError('hook.unavailable', `${facts.name} has no hook point ${hookName(point)}.`, {
      field: 'hook',
      next: 'Choose one of the hook points that the Layers view lists.',
    })
  return point
}

/** @throws PatchbayError `hook.unavailable` for an exported graph in which no blocks were recognised */
export function requireBlocks({ facts }: AnalysisModel): void {
  if (facts.layers === 0)
    throw new PatchbayError(
      'hook.unavailable',
      `No blocks were recognised in ${facts.name}, so it has no layers to look into.`,
      { field: 'model', next: rawInstead },
    )
}

/** @throws PatchbayError `hook.unavailable` where the final norm and unembedding can not be computed by themselves */
export function requireReadout(model: AnalysisModel): void {
  requireBlocks(model)
  if ((model.whole ?? null) !== null)
    throw new PatchbayError(
      'hook.unavailable',
      `The graph of ${model.facts.name} runs in one piece, because ${model.whole}: its residual stream can not be read out early.`,
      { field: 'model', next: rawInstead },
    )
}

const rawInstead = 'Any value of its graph can be captured and changed by its own name, as value:NAME.'

/**
 * A layer of the model.
 * @throws PatchbayError `input.invalid` beyond the last one, `hook.unavailable` where there are none
 */
export function checkLayer(model: AnalysisModel, layer: number): void {
  requireBlocks(model)
  const { facts } = model
  if (!Number.isInteger(layer) || layer < 0 || layer >= facts.layers)
    throw new PatchbayError(
      'input.invalid',
      `${facts.name} has no layer ${layer}; its layers are 0 to ${facts.layers - 1}.`,
      {
        field: 'layer',
        next: 'Choose an existing layer.',
      },
    )
}

/**
 * A position of a prompt.
 * @throws PatchbayError `input.invalid` beyond the last one
 */
export function checkPosition(tokens: readonly number[], position: number): void {
  if (!Number.isInteger(position) || position < 0 || position >= tokens.length)
    throw new PatchbayError(
      'input.invalid',
      `The prompt has no position ${position}; its positions are 0 to ${tokens.length - 1}.`,
      { field: 'position', next: 'Choose a position of the prompt.' },
    )
}

/** The request that captures hook points of one prompt, without logits. */
export const captureInput = (
  model: AnalysisModel,
  tokens: readonly number[],
  hooks: readonly string[],
  changes: { stopLayer?: number } = {},
): RunInput => ({
  request: runRequest.parse({
    model: model.facts.fingerprint,
    rows: [tokens],
    captures: hooks,
    logits: 'none',
    ...changes,
  }),
  tensors: {},
})

export interface Captured {
  evidence: Evidence
  /** In the order of the names asked for, each without the batch axis. */
  activations: Tensor[]
}

/**
 * Captures hook points of one prompt. The arrays may be shared with the cache: read only.
 * @throws PatchbayError `hook.unavailable` for hook points that the model does not have
 */
export async function capture(
  model: AnalysisModel,
  tokens: readonly number[],
  hooks: readonly string[],
  options: RunOptions = {},
): Promise<Captured> {
  const input = captureInput(model, tokens, hooks)
  const { captures } = await model.run(input, options)
  return {
    evidence: evidenceOf(model, input),
    activations: hooks.map((hook) => withoutBatch(captures, hook)),
  }
}

/** A captured activation of a run with one row, without the batch axis. */
export function withoutBatch(captures: Readonly<Record<string, Tensor>>, hook: string): Tensor {
  const tensor = Object.hasOwn(captures, hook) ? captures[hook] : undefined
  if (tensor === undefined || tensor.shape[0] !== 1 || sizeOf(tensor.shape) !== tensor.data.length)
    throw new PatchbayError('internal', `The run did not return ${hook} for one row.`)
  return { shape: tensor.shape.slice(1), data: tensor.data }
}

/**
 * The residual stream of one prompt at all n_layers + 1 points, to be read out.
 * @throws PatchbayError `hook.unavailable` for an exported graph that runs in one piece
 */
export async function captureResiduals(
  model: AnalysisModel,
  tokens: readonly number[],
  options: RunOptions = {},
): Promise<Captured & { points: string[] }> {
  requireReadout(model)
  const points = residualPoints(model.facts.layers)
  return { points, ...(await capture(model, tokens, points, options)) }
}

/** Rows of residual streams, [point][position] pairs in the order given, as one tensor [n, d_model]. */
export function gatherRows(
  streams: readonly Tensor[],
  places: readonly (readonly [number, number])[],
): Tensor {
  const width = streams[0].shape[1]
  const data = new Float32Array(places.length * width)
  places.forEach(([stream, row], i) => {
    data.set(streams[stream].data.subarray(row * width, (row + 1) * width), i * width)
  })
  return { shape: [places.length, width], data }
}
