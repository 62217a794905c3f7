/** Patching as everybody does it: a capture of the source, then one forward pass of the base for each site. */
import type { PatchPlace } from '../../preload/attribution'
import { hookDims, parseHook } from '../../preload/hooks'
import { runRequest, type RunRequestInput } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { ReferenceModel } from './reference-model'

const request = (model: ReferenceModel, tokens: readonly number[], more: Partial<RunRequestInput> = {}) =>
  runRequest.parse({ model: model.fingerprint, rows: [tokens], logits: 'last', ...more })

/** Logits [d_vocab] behind the last token. */
export async function lastLogits(model: ReferenceModel, tokens: readonly number[]): Promise<Float32Array> {
  const { logits } = await model.run({ request: request(model, tokens), tensors: {} })
  return logits?.data ?? new Float32Array(0)
}

/** Logits behind the last token of `base` with what `source` has at a place. */
export function patchedLogits(
  model: ReferenceModel,
  base: readonly number[],
  source: readonly number[],
  place: PatchPlace,
): Promise<Float32Array> {
  return patching(model, base, source)(place)
}

/** The same for many places; what the source has at a hook point is captured once. */
export function patching(
  model: ReferenceModel,
  base: readonly number[],
  source: readonly number[],
): (place: PatchPlace) => Promise<Float32Array> {
  const captured = new Map<string, Tensor>()
  return async (place) => {
    const { hook, positions, head, units } = place
    if (!captured.has(hook)) {
      const capture = request(model, source, { captures: [hook], logits: 'none' })
      captured.set(hook, (await model.run({ request: capture, tensors: {} })).captures[hook])
    }
    const value = part(captured.get(hook) ?? { shape: [], data: new Float32Array(0) }, place)
    const { logits } = await model.run({
      request: request(model, base, {
        interventions: [
          {
            hook,
            positions: positions ?? 'all',
            heads: head === undefined ? undefined : [head],
            units,
            operation: { kind: 'replace', value: 'value' },
          },
        ],
      }),
      tensors: { value },
    })
    return logits?.data ?? new Float32Array(0)
  }
}

/** The selected part of a captured activation, without the batch axis. */
export function part({ shape, data }: Tensor, { hook, positions, head, units }: PatchPlace): Tensor {
  const point = parseHook(hook)
  const dims = point === null ? [] : hookDims(point).slice(1)
  const axes = dims.map((dim, axis) => {
    const size = shape[axis + 1]
    const every = Array.from({ length: size }, (_, i) => i)
    if (dim === 'pos' || dim === 'q_pos') return positions ?? every
    if ((dim === 'head' || dim === 'kv_head') && head !== undefined) return [head]
    return axis === dims.length - 1 && units !== undefined ? units : every
  })
  const picked: number[] = []
  const visit = (axis: number, at: number): void => {
    if (axis === axes.length) picked.push(data[at])
    else for (const i of axes[axis]) visit(axis + 1, at * shape[axis + 1] + i)
  }
  visit(0, 0)
  return { shape: axes.map((indices) => indices.length), data: Float32Array.from(picked) }
}
