/**
 * Reductions: what is kept of the values at the selected positions. Sums are taken in double precision; a value that is not
 * a number makes what comes of it none either, and counts as the largest, so that it is never lost on the way.
 */
import { PatchbayError } from '../../preload/errors'
import type { Tensor } from '../../preload/tensor'
import { sizeOf } from '../../preload/tensor'
import type { OutputContent } from '../collections/names'

/** Axes of a value without the batch, with their sizes; null where they depend on the row. */
export interface Axes {
  readonly dims: readonly string[]
  readonly sizes: readonly (number | null)[]
}

export interface ReducedPart extends Axes {
  readonly extra: OutputContent
}

/** A reduction at one hook point. */
export interface Reducer {
  /** What it gives of a row. */
  readonly parts: readonly ReducedPart[]
  /** The parts of a row's values; arrays may be views of what was given. */
  reduce(value: Tensor): Tensor[] | Promise<Tensor[]>
}

/** Values as they are. */
export const asTheyAre = (axes: Axes): Reducer => ({
  parts: [{ ...axes, extra: {} }],
  reduce: (value) => [value],
})

/** The mean or the largest over positions. @param axis that of the positions */
export const overPositions = (kind: 'mean' | 'max', { dims, sizes }: Axes, axis: number): Reducer => ({
  parts: [{ dims: dims.toSpliced(axis, 1), sizes: sizes.toSpliced(axis, 1), extra: {} }],
  reduce: ({ shape, data }) => {
    const inner = sizeOf(shape.slice(axis + 1))
    const count = shape[axis]
    const outer = sizeOf(shape.slice(0, axis))
    const out = new Float32Array(outer * inner)
    const sums = new Float64Array(inner)
    for (let o = 0; o < outer; o++) {
      sums.fill(kind === 'mean' ? 0 : -Infinity)
      for (let p = 0; p < count; p++) {
        const start = (o * count + p) * inner
        if (kind === 'mean') for (let i = 0; i < inner; i++) sums[i] += data[start + i]
        // Math.max gives NaN where one of the two is.
        else for (let i = 0; i < inner; i++) sums[i] = Math.max(sums[i], data[start + i])
      }
      const divisor = kind === 'mean' ? count : 1
      for (let i = 0; i < inner; i++) out[o * inner + i] = sums[i] / divisor
    }
    // What has a single number is a vector of one: nothing is stored without axes.
    return [{ shape: atLeastOne(shape.toSpliced(axis, 1)), data: out }]
  },
})

/** L2 norm over the last axis. */
export const norms = ({ dims, sizes }: Axes): Reducer => ({
  parts: [{ dims: dims.slice(0, -1), sizes: sizes.slice(0, -1), extra: {} }],
  reduce: ({ shape, data }) => {
    const width = shape[shape.length - 1]
    const out = new Float32Array(data.length / width)
    for (let v = 0; v < out.length; v++) {
      let sum = 0
      for (let i = v * width; i < (v + 1) * width; i++) sum += data[i] * data[i]
      out[v] = Math.sqrt(sum)
    }
    return [{ shape: atLeastOne(shape.slice(0, -1)), data: out }]
  },
})

/**
 * The k largest along the last axis, the largest first, of equal ones that of the lower index.
 * @throws PatchbayError `input.invalid` where there are fewer than k
 */
export function largest(k: number, { dims, sizes }: Axes): Reducer {
  const width = sizes[sizes.length - 1]
  if (width === null || k > width)
    throw new PatchbayError(
      'input.invalid',
      `The ${k} largest can not be taken of ${width === null ? 'an axis whose size depends on the row' : `${width} values`}.`,
      { field: 'reduction.k', next: 'Ask for fewer, or choose another hook point.' },
    )
  const axes = { dims: [...dims.slice(0, -1), 'k'], sizes: [...sizes.slice(0, -1), k] }
  return {
    parts: [
      { ...axes, extra: { part: 'values' } },
      { ...axes, extra: { part: 'indices' } },
    ],
    reduce: (value) => topOf(value, k),
  }
}

/** Values and indices of the k largest along the last axis. */
export function topOf({ shape, data }: Tensor, k: number): Tensor[] {
  const width = shape[shape.length - 1]
  const vectors = data.length / width
  const values = new Float32Array(vectors * k)
  const indices = new Float32Array(vectors * k)
  const best = new Float64Array(k)
  const at = new Int32Array(k)
  for (let v = 0; v < vectors; v++) {
    let filled = 0
    for (let i = 0; i < width; i++) {
      const given = data[v * width + i]
      const value = Number.isNaN(given) ? Infinity : given
      if (filled === k && value <= best[k - 1]) continue
      let place = filled < k ? filled++ : k - 1
      for (; place > 0 && best[place - 1] < value; place--) {
        best[place] = best[place - 1]
        at[place] = at[place - 1]
      }
      best[place] = value
      at[place] = i
    }
    for (let i = 0; i < k; i++) {
      values[v * k + i] = data[v * width + at[i]]
      indices[v * k + i] = at[i]
    }
  }
  const taken = [...shape.slice(0, -1), k]
  return [
    { shape: taken, data: values },
    { shape: taken, data: indices },
  ]
}

const atLeastOne = (shape: number[]): number[] => (shape.length === 0 ? [1] : shape)
