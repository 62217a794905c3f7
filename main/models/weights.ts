/**
 * Where a weight lies in a checkpoint and how it is read: a tensor's name, and steps that cut, reorder or shift it. A
 * weight without steps, or cut along its first axis only, is used as it lies in the file; others are written out once.
 */
import { PatchbayError } from '../../preload/errors'
import { sizeOf } from '../../preload/tensor'

export type WeightStep =
  | { readonly kind: 'reshape'; readonly shape: readonly number[] }
  | { readonly kind: 'permute'; readonly axes: readonly number[] }
  /** Elements start, start + stride, … before end, along an axis. */
  | {
      readonly kind: 'slice'
      readonly axis: number
      readonly start: number
      readonly end: number
      readonly stride: number
    }
  /** Adds a number to every element. */
  | { readonly kind: 'shift'; readonly by: number }

export interface Weight {
  /** Unique within a model: the tensor's name and the steps. */
  readonly name: string
  /** Name in the checkpoint. */
  readonly tensor: string
  /** Shape that the checkpoint's tensor must have. */
  readonly stored: readonly number[]
  readonly steps: readonly WeightStep[]
  /** Shape after the steps. */
  readonly shape: readonly number[]
}

/** A tensor as it lies in the checkpoint. */
export const weight = (tensor: string, ...stored: number[]): Weight => ({
  name: tensor,
  tensor,
  stored,
  steps: [],
  shape: stored,
})

const then = (source: Weight, step: WeightStep, shape: readonly number[]): Weight => ({
  ...source,
  name: `${source.name}|${stepText(step)}`,
  steps: [...source.steps, step],
  shape,
})

const stepText = (step: WeightStep): string => Object.values(step).flat().join(',')

export function reshaped(source: Weight, ...shape: number[]): Weight {
  return then(source, { kind: 'reshape', shape }, shape)
}

export function permuted(source: Weight, ...axes: number[]): Weight {
  return then(
    source,
    { kind: 'permute', axes },
    axes.map((axis) => source.shape[axis]),
  )
}

/** Rows (or entries of another axis) start to end, every stride-th. */
export function sliced(source: Weight, axis: number, start: number, end: number, stride = 1): Weight {
  const size = Math.ceil((end - start) / stride)
  const shape = source.shape.map((dim, i) => (i === axis ? size : dim))
  return then(source, { kind: 'slice', axis, start, end, stride }, shape)
}

/** w + by, for norms that store their weight as an offset from 1. */
export const shifted = (source: Weight, by: number): Weight =>
  then(source, { kind: 'shift', by }, source.shape)

/**
 * Undoes GGUF's order of query and key rows for rotary heads: there rows 2i and 2i+1 of a head are what Hugging Face has
 * as rows i and i + d_head/2. Works on matrices [heads·d_head, in] and on biases [heads·d_head].
 */
export function unpermuted(source: Weight, heads: number): Weight {
  const [rows, ...rest] = source.shape
  const half = rows / heads / 2
  const axes = [0, 2, 1, ...rest.map((_, i) => i + 3)]
  return reshaped(permuted(reshaped(source, heads, half, 2, ...rest), ...axes), rows, ...rest)
}

/**
 * The contiguous part of the stored tensor that the weight is, in elements from its start; null where it is not one
 * (it is then computed by `applySteps`).
 */
export function contiguousPart(source: Weight): { offset: number; length: number } | null {
  const { offset, length, rest } = leadingPart(source)
  return rest.steps.length === 0 ? { offset, length } : null
}

/** A contiguous part of the stored tensor that holds all of the weight, and the weight as made from that part alone. */
export function leadingPart(source: Weight): { offset: number; length: number; rest: Weight } {
  let offset = 0
  let shape = source.stored
  let taken = 0
  for (const step of source.steps) {
    if (step.kind === 'reshape') shape = step.shape
    else if (step.kind === 'slice' && step.axis === 0 && step.stride === 1) {
      offset += step.start * sizeOf(shape.slice(1))
      shape = [step.end - step.start, ...shape.slice(1)]
    } else break
    taken++
  }
  return {
    offset,
    length: sizeOf(shape),
    rest: { ...source, stored: shape, steps: source.steps.slice(taken) },
  }
}

/** Applies a weight's steps to the stored tensor's elements (row-major, shape `stored`). */
export function applySteps(source: Weight, stored: Float32Array): Float32Array {
  if (stored.length !== sizeOf(source.stored))
    throw new PatchbayError(
      'internal',
      `The tensor ${source.tensor} has ${stored.length} elements, not ${source.stored.join('×')}.`,
    )
  let data = stored
  let shape = source.stored
  for (const step of source.steps) {
    switch (step.kind) {
      case 'reshape':
        shape = step.shape
        break
      case 'shift':
        data = data.map((x) => x + step.by)
        break
      case 'permute': {
        const strides = stridesOf(shape)
        shape = step.axes.map((axis) => shape[axis])
        data = gather(
          data,
          shape,
          step.axes.map((axis) => strides[axis]),
          0,
        )
        break
      }
      case 'slice': {
        const strides = stridesOf(shape)
        const start = step.start * strides[step.axis]
        shape = shape.map((dim, i) =>
          i === step.axis ? Math.ceil((step.end - step.start) / step.stride) : dim,
        )
        data = gather(
          data,
          shape,
          strides.map((s, i) => (i === step.axis ? s * step.stride : s)),
          start,
        )
      }
    }
  }
  return data
}

const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)))

/** Copies the elements at `start` + Σ indexᵢ·stridesᵢ into row-major order. */
function gather(
  source: Float32Array,
  shape: readonly number[],
  strides: readonly number[],
  start: number,
): Float32Array {
  const result = new Float32Array(sizeOf(shape))
  const last = shape.length - 1
  let written = 0
  const walk = (axis: number, offset: number): void => {
    if (axis === last)
      for (let i = 0; i < shape[last]; i++) result[written++] = source[offset + i * strides[last]]
    else for (let i = 0; i < shape[axis]; i++) walk(axis + 1, offset + i * strides[axis])
  }
  if (shape.length === 0) return Float32Array.of(source[start])
  walk(0, start)
  return result
}
