/**
 * The names of results: a run is data, so the hash of its canonical request names what it computes, on this machine and on
 * any other. Memory and disk use the same key.
 */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import { hookName, parseHook } from '../../preload/hooks'
import { tensorsOfMetric, type Backward, type Metric } from '../../preload/metric'
import type { GenerateInput, Intervention, RunInput } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** sha256 in hex of a float32 tensor: of `float32 [d0,d1,…]`, a line feed, and the elements in little-endian order. */
export function tensorHash(tensor: Tensor): string {
  const { buffer, byteOffset, byteLength } = tensor.data
  return createHash('sha256')
    .update(`float32 [${tensor.shape.join(',')}]\n`)
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex')
}

/** A hook name or alias as its canonical name; what is neither stays as it is, for the run to refuse. */
export function canonicalHook(name: string): string {
  const point = parseHook(name)
  return point === null ? name : hookName(point)
}

/**
 * sha256 in hex of a request: of the canonical JSON of `{request, tensors}`, with hook names canonical and `tensors` the
 * hash of each tensor that the request names. It is the `requestHash` of a result's provenance.
 * @throws PatchbayError `input.invalid` where the request names a tensor that is not there
 */
export function requestHash(input: RunInput | GenerateInput): string {
  const request = { ...input.request, interventions: canonicalInterventions(input.request.interventions) }
  if ('captures' in request) {
    request.captures = request.captures.map(canonicalHook)
    if (request.backward !== undefined) request.backward = canonicalBackward(request.backward)
  }
  return sha256(canonicalJson({ request, tensors: hashesOf(allTensors(input), input) }))
}

/**
 * The key under which everything that one forward pass computes is kept: the request without what it returns (captures
 * and logits), and the model's handle, which says on what provider and in what precision.
 * @throws PatchbayError `input.invalid` where the request names a tensor that is not there
 */
export function passKey(model: string, input: RunInput): string {
  const { rows, interventions, start, stopLayer, version } = input.request
  const pass = { version, rows, interventions: canonicalInterventions(interventions), start, stopLayer }
  const tensors = hashesOf(forwardTensors(input), input)
  return sha256(canonicalJson({ model, fingerprint: input.request.model, pass, tensors }))
}

/**
 * The key under which what a backward pass computes is kept: the pass, with the metric that is differentiated.
 * @throws PatchbayError `input.invalid` where the metric names a tensor that is not there
 */
export function backwardKey(pass: string, backward: Backward, input: RunInput): string {
  const { metric } = canonicalBackward(backward)
  return sha256(canonicalJson({ pass, metric, tensors: hashesOf(metricTensors(backward), input) }))
}

function canonicalBackward(backward: Backward): Backward {
  const canonical = (one: Metric): Metric =>
    one.kind === 'projection' ? { ...one, hook: canonicalHook(one.hook) } : one
  return {
    ...backward,
    metric: Array.isArray(backward.metric) ? backward.metric.map(canonical) : canonical(backward.metric),
    hooks: backward.hooks.map(canonicalHook),
  }
}

const metricTensors = ({ metric }: Backward): string[] =>
  Array.isArray(metric) ? metric.flatMap(tensorsOfMetric) : tensorsOfMetric(metric)

const canonicalInterventions = (interventions: readonly Intervention[]): Intervention[] =>
  interventions.map((change) => ({ ...change, hook: canonicalHook(change.hook) }))

/** Tensors that the forward pass depends on. */
function forwardTensors({ request }: RunInput | GenerateInput): string[] {
  const start = 'start' in request && request.start !== undefined ? [request.start.residual] : []
  return [...request.interventions.flatMap(tensorsOf), ...start]
}

function allTensors(input: RunInput | GenerateInput): string[] {
  const { request } = input
  const backward =
    'backward' in request && request.backward !== undefined ? metricTensors(request.backward) : []
  return [...forwardTensors(input), ...backward]
}

function hashesOf(names: readonly string[], input: RunInput | GenerateInput): Record<string, string> {
  const hashes: [string, string][] = []
  for (const name of new Set(names)) hashes.push([name, tensorHash(namedTensor(input.tensors, name))])
  return Object.fromEntries(hashes)
}

/** @throws PatchbayError `input.invalid` where it did not come with the request */
export function namedTensor(tensors: Readonly<Record<string, Tensor>>, name: string): Tensor {
  if (Object.hasOwn(tensors, name)) return tensors[name]
  throw new PatchbayError(
    'input.invalid',
    `The request names a tensor ${JSON.stringify(name)} that is not with it.`,
    { field: `tensors.${name}`, next: 'Send the tensor along with the request.' },
  )
}

function tensorsOf({ operation }: Intervention): string[] {
  switch (operation.kind) {
    case 'add':
    case 'replace':
      return [operation.value]
    case 'direction':
      return [operation.direction]
    case 'scale':
      return []
  }
}
