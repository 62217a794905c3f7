/**
 * Tensors as they travel: plain objects over typed arrays, row-major. Structured clone carries them as they are.
 */
import { z } from 'zod'

export type TensorData = Float32Array | BigInt64Array | Int32Array | Uint8Array

/** A dense row-major tensor. `shape` is outermost first; `data.length` is the product of `shape`. */
export interface Tensor<D extends TensorData = Float32Array> {
  shape: readonly number[]
  data: D
}

/** Number of elements of a shape; 1 for a scalar's `[]`. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1)

/** The index on each axis of a flat, row-major index. */
export function unravel(shape: readonly number[], flat: number): number[] {
  const index: number[] = []
  for (const size of [...shape].reverse()) {
    index.unshift(flat % size)
    flat = Math.floor(flat / size)
  }
  return index
}

/** Typed arrays as the contract's schemas know them (over any buffer). */
export const floatArray = z.custom<Float32Array>(
  (value) => value instanceof Float32Array,
  'not a Float32Array',
)
export const intArray = z.custom<Int32Array>((value) => value instanceof Int32Array, 'not an Int32Array')
export const byteArray = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes')

const dimension = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 32)
const shape = z.array(dimension).max(8)
const fits = (tensor: Tensor<TensorData>): boolean => sizeOf(tensor.shape) === tensor.data.length
const misfit = { message: 'data length is not the product of shape' }

/** Schemas of float32 and int32 tensors, with the check that data and shape agree. */
export const floatTensor: z.ZodType<Tensor, Tensor> = z
  .object({ shape, data: floatArray })
  .refine(fits, misfit)
export const intTensor: z.ZodType<Tensor<Int32Array>, Tensor<Int32Array>> = z
  .object({ shape, data: intArray })
  .refine(fits, misfit)
