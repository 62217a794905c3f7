/**
 * The names of results: a run is data, so the hash of its canonical request names what it computes, on this machine and on
 * any other. Memory and disk use the same key.
 */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import { hookName, parseHook } from '../../preload/hooks'
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
  if ('captures' in request) request.captures = request.captures.map(canonicalHook)
  return sha256(canonicalJson({ request, tensors: hashesOfNamed(input) }))
}

/**
 * The key under which everything that one forward pass computes is kept: the request without what it returns (captures
 * and logits), and the model's handle, which says on what provider and in what precision.
 * @throws PatchbayError `input.invalid` where the request names a tensor that is not there
 */
export function passKey(model: string, input: RunInput): string {
  const { rows, interventions, start, stopLayer, version } = input.request
  const pass = { version, rows, interventions: canonicalInterventions(interventions), start, stopLayer }
  return sha256(
    canonicalJson({ model, fingerprint: input.request.model, pass, tensors: hashesOfNamed(input) }),
  )
}

const canonicalInterventions = (interventions: readonly Intervention[]): Intervention[] =>
  interventions.map((change) => ({ ...change, hook: canonicalHook(change.hook) }))

function hashesOfNamed(input: RunInput | GenerateInput): Record<string, string> {
  const names = new Set(input.request.interventions.flatMap(tensorsOf))
  if ('start' in input.request && input.request.start !== undefined) names.add(input.request.start.residual)
  const hashes: [string, string][] = []
  for (const name of names) {
    const tensor = Object.hasOwn(input.tensors, name) ? input.tensors[name] : undefined
    if (tensor === undefined)
      throw new PatchbayError(
        'input.invalid',
        `The request names a tensor ${JSON.stringify(name)} that is not with it.`,
        {
          field: `tensors.${name}`,
          next: 'Send the tensor along with the request.',
        },
      )
    hashes.push([name, tensorHash(tensor)])
  }
  return Object.fromEntries(hashes)
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
