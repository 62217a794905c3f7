/** Slices: a range on each axis, as the runs of bytes that it takes of a row-major tensor. */
import { PatchbayError } from '../../../preload/errors'

/** [start, stop) on each axis, outermost first; null (or an axis left out) takes all of it. */
export type Slice = readonly (readonly [number, number] | null)[]

export interface Run {
  /** Bytes from the start of the tensor. */
  start: number
  length: number
}

/**
 * The range on every axis.
 * @throws PatchbayError `input.invalid` for a range that is empty or reaches out of its axis
 */
export function rangesOf(slice: Slice, shape: readonly number[]): [number, number][] {
  if (slice.length > shape.length) throw invalid(`has ${slice.length} axes, the tensor ${shape.length}`)
  return shape.map((size, axis) => {
    const [start, stop] = slice[axis] ?? [0, size]
    if (!Number.isInteger(start) || !Number.isInteger(stop) || start < 0 || start >= stop || stop > size)
      throw invalid(`takes ${start} to ${stop} of axis ${axis}, which has ${size}`)
    return [start, stop]
  })
}

export const shapeOf = (ranges: readonly (readonly [number, number])[]): number[] =>
  ranges.map(([start, stop]) => stop - start)

/** The runs of bytes of a slice, in ascending order; neighbours are one run. */
export function runsOf(
  ranges: readonly (readonly [number, number])[],
  shape: readonly number[],
  elementBytes: number,
): Run[] {
  let inner = elementBytes
  let axis = shape.length - 1
  // Innermost axes that are taken whole belong to one run, and so does the axis before them.
  while (axis > 0 && ranges[axis][0] === 0 && ranges[axis][1] === shape[axis]) inner *= shape[axis--]
  if (shape.length === 0) return [{ start: 0, length: elementBytes }]
  let starts = [0]
  let stride = shape.reduce((product, n) => product * n, elementBytes)
  for (let a = 0; a < axis; a++) {
    stride /= shape[a]
    const [from, to] = ranges[a]
    starts = starts.flatMap((start) =>
      Array.from({ length: to - from }, (_, i) => start + (from + i) * stride),
    )
  }
  const [from, to] = ranges[axis]
  return starts.map((start) => ({ start: start + from * inner, length: (to - from) * inner }))
}

const invalid = (problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `A slice of an activation ${problem}.`, {
    field: 'slice',
    next: 'Ask for a range inside of the tensor.',
  })
