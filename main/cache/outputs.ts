/**
 * What a request returns, array by array, each under a name and a key of its own: a request is answered from what is kept
 * and from a smaller request for the rest.
 */
import { PatchbayError } from '../../preload/errors'
import { noGradients, type RunInput, type RunRequest, type RunResult } from '../../preload/run'
import { backwardKey, canonicalHook, passKey } from './key'
import type { Kept } from './shared-pass'

const LOGITS = 'logits:'
const RESIDUAL = 'residual'
const METRIC = 'metric'
const GRADIENT = 'gradient:'
const WEIGHT = 'weight gradient:'

export const isOfBackward = (output: string): boolean =>
  output === METRIC || output.startsWith(GRADIENT) || output.startsWith(WEIGHT)

/** Under what a request's outputs are kept: captures whatever is differentiated, gradients by their metric too. */
export interface Keys {
  readonly forward: string
  readonly backward: string
  of(output: string): string
}

export function keysOf(model: string, input: RunInput): Keys {
  const pass = passKey(model, input)
  const { backward: wanted } = input.request
  const forward = `${model}\n${pass}`
  const backward = wanted === undefined ? forward : `${model}\n${backwardKey(pass, wanted, input)}`
  return { forward, backward, of: (output) => `${isOfBackward(output) ? backward : forward}\n${output}` }
}

/**
 * Everything that a request returns, by name: hook points, `logits:last` or `logits:all`, `residual`; `metric`,
 * `gradient:HOOK`, `weight gradient:PARAMETER`.
 */
export function outputsOf({ captures, logits, stopLayer, backward }: RunRequest): string[] {
  const outputs = new Set(captures.map(canonicalHook))
  if (logits !== 'none' && stopLayer === undefined) outputs.add(LOGITS + logits)
  if (stopLayer !== undefined) outputs.add(RESIDUAL)
  if (backward !== undefined) {
    outputs.add(METRIC)
    for (const hook of backward.hooks) outputs.add(GRADIENT + canonicalHook(hook))
    for (const weight of backward.weights) outputs.add(WEIGHT + weight)
  }
  return [...outputs]
}

const named = (outputs: readonly string[], prefix: string): string[] =>
  outputs.filter((output) => output.startsWith(prefix)).map((output) => output.slice(prefix.length))

/** The request for some of its outputs. */
export const requestFor = (request: RunRequest, outputs: readonly string[]): RunRequest => ({
  ...request,
  captures: outputs.filter(
    (output) => !output.startsWith(LOGITS) && output !== RESIDUAL && !isOfBackward(output),
  ),
  logits: outputs.includes('logits:all') ? 'all' : outputs.includes('logits:last') ? 'last' : 'none',
  backward:
    request.backward !== undefined && outputs.some(isOfBackward)
      ? { ...request.backward, hooks: named(outputs, GRADIENT), weights: named(outputs, WEIGHT) }
      : undefined,
})

export function collect(request: RunRequest, result: RunResult): Map<string, Kept> {
  const outputs = new Map<string, Kept>(Object.entries(result.captures))
  if (result.logits !== null && request.logits !== 'none') outputs.set(LOGITS + request.logits, result.logits)
  if (result.residual !== null) outputs.set(RESIDUAL, result.residual)
  if (result.metric !== null) outputs.set(METRIC, result.metric)
  for (const [hook, value] of Object.entries(result.gradients)) outputs.set(GRADIENT + hook, value)
  for (const [weight, value] of Object.entries(result.weightGradients)) outputs.set(WEIGHT + weight, value)
  return outputs
}

/** The result under the names that the caller used. */
export function assemble(request: RunRequest, outputs: ReadonlyMap<string, Kept>): RunResult {
  const take = (output: string): Kept => {
    const value = outputs.get(output)
    if (value === undefined) throw new PatchbayError('internal', `The run did not return ${output}.`)
    return value
  }
  const taken = (names: readonly string[], output: (name: string) => string): Record<string, Kept> =>
    Object.fromEntries(names.map((name) => [name, take(output(name))]))
  const stopped = request.stopLayer !== undefined
  const { backward } = request
  const differentiated =
    backward === undefined
      ? noGradients()
      : {
          metric: take(METRIC),
          gradients: taken(backward.hooks, (name) => GRADIENT + canonicalHook(name)),
          weightGradients: taken(backward.weights, (name) => WEIGHT + name),
        }
  return {
    lengths: request.rows.map((row) => row.length),
    captures: taken(request.captures, canonicalHook),
    logits: request.logits === 'none' || stopped ? null : take(LOGITS + request.logits),
    residual: stopped ? take(RESIDUAL) : null,
    ...differentiated,
  }
}
