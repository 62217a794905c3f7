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

const dimension = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 32)

/** Schema of a float32 tensor, with the check that data and shape agree. */
export const floatTensor = z
  .object({ shape: z.array(dimension).max(8), data: z.instanceof(Float32Array) })
  .refine((t) => sizeOf(t.shape) === t.data.length, { message: 'data length is not the product of shape' })

/** Schema of an int32 tensor, likewise. */
export const intTensor = z
  .object({ shape: z.array(dimension).max(8), data: z.instanceof(Int32Array) })
  .refine((t) => sizeOf(t.shape) === t.data.length, { message: 'data length is not the product of shape' })
