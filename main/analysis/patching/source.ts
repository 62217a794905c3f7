/** What sites are replaced by: activations of another run, or made up, laid out as the base's. */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { hookDims, parseHook } from '../../../preload/hooks'
import type { SweepSource } from '../../../preload/sweep'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { seededGenerator } from '../../runtime/seeded'
import type { Activations } from '../../runtime/wave/site'
import { invalid } from './sites'

/** Runs a prompt for the activations at some hook points. */
export type Capture = (tokens: readonly number[]) => Promise<Activations>

export interface SourceContext {
  readonly base: Activations
  readonly baseLength: number
  readonly hooks: readonly string[]
  readonly tensors: Readonly<Record<string, Tensor>>
  readonly capture: Capture
  /** Added to seeds: another pair or draw draws something else. */
  readonly draw: number
}

/**
 * Activations in the base's shapes for every source but the other prompt's.
 * @throws PatchbayError `input.invalid` for rows that are too short, tensors that do not fit or are not finite
 */
export async function madeUp(
  source: Exclude<SweepSource, { kind: 'prompt' }>,
  context: SourceContext,
): Promise<Activations> {
  const { base, baseLength, hooks, tensors, capture, draw } = context
  const each = (make: (of: Tensor, hook: string) => Tensor): Activations =>
    new Map(hooks.map((hook) => [hook, make(need(base, hook), hook)]))
  switch (source.kind) {
    case 'zero':
      return each(({ shape, data }) => ({ shape, data: new Float32Array(data.length) }))
    case 'noise':
      return each(({ shape, data }, hook) => {
        const random = normal(mixed(source.seed + draw, hook))
        return { shape, data: data.map((x) => x + source.std * random()) }
      })
    case 'mean':
      return meanOf(source.rows, context)
    case 'resample': {
      const short = source.rows.findIndex((row) => row.length < baseLength)
      if (short !== -1)
        throw invalid(
          `Row ${short} has ${source.rows[short].length} tokens, but activations are wanted at ${baseLength} positions`,
          `source.rows.${short}`,
          'Give rows that are at least as long as the prompt.',
        )
      const random = seededGenerator(source.seed + draw)
      const row = uniformInt(random, 0, source.rows.length - 1)
      // Causal: what follows the base's length changes nothing before it.
      return capture(source.rows[row].slice(0, baseLength))
    }
    case 'tensor':
      return each(({ shape }, hook) => {
        if (!Object.hasOwn(source.tensors, hook))
          throw invalid(`There is no tensor for ${hook}`, 'source.tensors', 'Give one for each hook point.')
        const name = source.tensors[hook]
        if (!Object.hasOwn(tensors, name))
          throw invalid(`The request names a tensor "${name}" that did not come with it`, 'source.tensors')
        return broadcast(tensors[name], shape, `tensors.${name}`)
      })
  }
}

/** Means over all positions of all rows, at every position of the base. */
async function meanOf(
  rows: readonly (readonly number[])[],
  { base, hooks, capture }: SourceContext,
): Promise<Activations> {
  const sums = new Map<string, Float64Array>()
  let positions = 0
  for (const row of rows) {
    const captured = await capture(row)
    positions += row.length
    for (const hook of hooks) {
      const { data, shape } = need(captured, hook)
      if (!isByPosition(hook))
        throw invalid(
          `There is no mean of ${hook}: its axes depend on the prompt`,
          'source',
          'Choose another source.',
        )
      const width = data.length / shape[0]
      const sum = sums.get(hook) ?? new Float64Array(width)
      for (let i = 0; i < data.length; i++) sum[i % width] += data[i]
      sums.set(hook, sum)
    }
  }
  return new Map(
    hooks.map((hook) => {
      const { shape } = need(base, hook)
      const mean = Float32Array.from(sums.get(hook) ?? [], (sum) => sum / positions)
      return [hook, broadcast({ shape: [1, ...shape.slice(1)], data: mean }, shape, hook)]
    }),
  )
}

const isByPosition = (hook: string): boolean => {
  const point = parseHook(hook)
  return point !== null && hookDims(point)[1] === 'pos'
}

/**
 * Activations of another prompt, laid out by the base's positions.
 * @param partners for each position of the base that of the other prompt; null where it has none
 */
export function alignedTo(
  activations: Activations,
  partners: readonly (number | null)[],
  hooks: readonly string[],
): Activations {
  const same = partners.every((partner, i) => partner === i)
  return new Map(
    hooks.map((hook) => {
      const { shape, data } = need(activations, hook)
      if (same && (!isByPosition(hook) || shape[0] === partners.length)) return [hook, { shape, data }]
      if (!isByPosition(hook))
        throw invalid(
          `${hook} can not be carried over between prompts of different length`,
          'pairs',
          'Use prompts of one length.',
        )
      const width = sizeOf(shape.slice(1))
      const moved = new Float32Array(partners.length * width)
      partners.forEach((partner, i) => {
        if (partner !== null) moved.set(data.subarray(partner * width, (partner + 1) * width), i * width)
      })
      return [hook, { shape: [partners.length, ...shape.slice(1)], data: moved }]
    }),
  )
}

/** A tensor broadcast (numpy's rules) to `shape`. */
function broadcast(tensor: Tensor, shape: readonly number[], field: string): Tensor {
  if (!tensor.data.every(Number.isFinite))
    throw invalid('A tensor holds values that are not finite', field, 'Give finite values.')
  const aligned = [...Array<number>(Math.max(0, shape.length - tensor.shape.length)).fill(1), ...tensor.shape]
  if (aligned.length !== shape.length || aligned.some((dim, axis) => dim !== 1 && dim !== shape[axis]))
    throw invalid(`A tensor [${tensor.shape.join(', ')}] does not fit [${shape.join(', ')}]`, field)
  const data = new Float32Array(sizeOf(shape))
  for (let i = 0; i < data.length; i++) {
    let rest = i
    let at = 0
    let stride = 1
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const place = rest % shape[axis]
      rest = Math.floor(rest / shape[axis])
      if (aligned[axis] !== 1) at += place * stride
      stride *= aligned[axis]
    }
    data[i] = tensor.data[at]
  }
  return { shape, data }
}

/** A seed of its own for each hook point, whichever others are asked for with it (FNV-1a). */
const mixed = (seed: number, hook: string): number =>
  [...hook].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5 ^ seed)

/** Standard normal numbers (Box and Muller 1958). */
export function normal(seed: number): () => number {
  const random = seededGenerator(seed)
  return () =>
    Math.sqrt(-2 * Math.log(1 - uniformFloat64(random))) * Math.cos(2 * Math.PI * uniformFloat64(random))
}

export function need(activations: Activations, hook: string): Tensor {
  const found = activations.get(hook)
  if (found === undefined) throw invalid(`The run did not give ${hook}`, 'hook')
  return found
}
