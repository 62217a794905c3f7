/** Values of an entry to the bytes that are kept, and slices of them back. What is lost is stated. */
import { decodeFloat32, view } from '../../models/formats/decode'
import { encodeBfloat16, encodeFloat16, float16Values } from '../../models/formats/float16'
import { asBytes } from './checksum'
import type { Dtype, EntryError, EntryStorage } from './entry'
import { encodeHalves, INFINITE_HALF, largestHalf, LEAST_NORMAL_HALF } from './halves'

export interface Encoded {
  storage: EntryStorage
  bytes: Uint8Array
  /** Of int8: one float32 for each vector along the last axis. */
  scale: Uint8Array | null
  error: EntryError
  /** True where it came to light on the way that all values are finite. */
  finite?: true
}

/** Memory for so many bytes of a value, at an even place; what is in it counts for nothing. */
export type TakeBytes = (bytes: number) => Uint8Array

/** What makes encoding cheaper. */
export interface EncodingAid {
  /** Gives the memory that values of 16 bits go to; memory of their own unless given. */
  readonly take?: TakeBytes
  /** The values as float16 already, rounded to nearest. */
  readonly halves?: Uint16Array
}

const shortsOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Uint16Array =>
  new Uint16Array(buffer, byteOffset, byteLength / 2)

/**
 * @param width size of the last axis
 * A value that the dtype can not hold (beyond float16's 65504; for int8 anything that is not finite) makes the whole entry
 * float32: an activation outlier must not become infinite in silence.
 */
export function encode(
  values: Float32Array,
  dtype: Dtype,
  width: number,
  { take, halves: given }: EncodingAid = {},
): Encoded {
  switch (dtype) {
    case 'float32':
      return exact(values)
    case 'float16': {
      const rough = given === undefined ? null : ofHalves(given)
      if (rough !== null) return rough
      const halves = encodeHalves(values, take === undefined ? undefined : shortsOf(take(2 * values.length)))
      if (halves !== null) {
        const { bits, largest, lost } = halves
        return { ...rounded('F16', bits, errorOf(largest, lost, halfFloat)), finite: true }
      }
      const error = roundingError(values, halfFloat)
      return error === null ? exact(values) : rounded('F16', encodeFloat16(values), error)
    }
    case 'bfloat16': {
      const error = roundingError(values, brainFloat)
      return error === null ? exact(values) : rounded('BF16', encodeBfloat16(values), error)
    }
    case 'int8':
      return quantise(values, width) ?? exact(values)
  }
}

/**
 * Values that are float16 already, with the error that rounding to them had at most. Null where they do not tell it:
 * nothing but zeros, or anything that is not finite now.
 */
function ofHalves(bits: Uint16Array): Encoded | null {
  const largest = largestHalf(bits)
  if (largest === 0 || largest >= INFINITE_HALF) return null
  const spacing = largest < LEAST_NORMAL_HALF ? halfFloat.step : 2 ** ((largest >> halfFloat.kept) - 25)
  // What was rounded may have been smaller than what is there.
  const error = { max: spacing / 2, relative: spacing / 2 / (float16Values[largest] - spacing / 2) }
  return { ...rounded('F16', bits, error), finite: true }
}

const exact = (values: Float32Array): Encoded => ({
  storage: 'F32',
  bytes: asBytes(values),
  scale: null,
  error: { max: 0, relative: 0 },
})

const rounded = (storage: 'F16' | 'BF16', bits: Uint16Array, error: EntryError): Encoded => ({
  storage,
  bytes: asBytes(bits),
  scale: null,
  error,
})

/** A 16-bit format as seen from float32's bits. */
interface ShortFormat {
  /** float32 bits of the least magnitude that rounds to infinity, and of the least normal number. */
  overflow: number
  normal: number
  /** Mantissa bits that are dropped, and how many are kept. */
  dropped: number
  kept: number
  /** Distance of numbers below the least normal one. */
  step: number
}

const halfFloat: ShortFormat = {
  overflow: 0x477ff000,
  normal: 0x38800000,
  dropped: 0x1fff,
  kept: 10,
  step: 2 ** -24,
}
const brainFloat: ShortFormat = {
  overflow: 0x7f7f8000,
  normal: 0x00800000,
  dropped: 0xffff,
  kept: 7,
  step: 2 ** -133,
}

/**
 * The most that rounding to the nearest can change: half the distance of neighbours at the largest finite value; 0 where
 * no value has bits to drop. Null where a finite value would become infinite.
 */
function roundingError(values: Float32Array, format: ShortFormat): EntryError | null {
  const { overflow, normal, dropped } = format
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length)
  let largest = 0
  let lost = 0
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i] & 0x7fffffff
    if (magnitude >= 0x7f800000) continue
    if (magnitude > largest) largest = magnitude
    lost |= magnitude >= normal ? magnitude & dropped : magnitude
  }
  return largest >= overflow ? null : errorOf(largest, lost, format)
}

/**
 * @param largest float32 bits of the largest magnitude
 * @param lost bits that are dropped somewhere
 */
function errorOf(largest: number, lost: number, { normal, kept, step }: ShortFormat): EntryError {
  if (lost === 0) return { max: 0, relative: 0 }
  const [value] = new Float32Array(Int32Array.of(largest).buffer)
  const spacing = largest >= normal ? 2 ** ((largest >>> 23) - 127 - kept) : step
  return { max: spacing / 2, relative: spacing / 2 / value }
}

/**
 * Symmetric: scale = max|x| / 127 of each vector of `width` values, and the nearest of −127 … 127 times it. The error is
 * measured. Null where a value is not finite.
 */
function quantise(values: Float32Array, width: number): Encoded | null {
  const quants = new Int8Array(values.length)
  const scales = new Float32Array(values.length / width)
  let max = 0
  let most = 0
  for (let row = 0; row < scales.length; row++) {
    const vector = values.subarray(row * width, (row + 1) * width)
    let largest = 0
    for (let i = 0; i < width; i++) {
      const magnitude = Math.abs(vector[i])
      if (!(magnitude < Infinity)) return null
      if (magnitude > largest) largest = magnitude
    }
    if (largest > most) most = largest
    scales[row] = largest / 127
    const scale = scales[row]
    if (scale === 0) {
      if (largest > max) max = largest
      continue
    }
    const inverse = 1 / scale
    for (let i = 0; i < width; i++) {
      const quant = Math.max(-127, Math.min(127, Math.round(vector[i] * inverse)))
      quants[row * width + i] = quant
      const error = Math.abs(vector[i] - Math.fround(quant * scale))
      if (error > max) max = error
    }
  }
  const error = { max, relative: most === 0 ? 0 : max / most }
  return { storage: 'I8', bytes: asBytes(quants), scale: asBytes(scales), error }
}

function dequantise(quants: Int8Array, scales: Float32Array, width: number): Float32Array {
  const out = new Float32Array(quants.length)
  for (let row = 0; row < scales.length; row++)
    for (let i = row * width; i < (row + 1) * width; i++) out[i] = quants[i] * scales[row]
  return out
}

/**
 * Values of a slice from its bytes.
 * @param scales float32, one for each `width` values of the slice; null unless int8
 */
export function decode(
  storage: EntryStorage,
  bytes: Uint8Array,
  scales: Uint8Array | null,
  count: number,
  width: number,
): Float32Array {
  if (scales !== null)
    return dequantise(view(Int8Array, bytes, count), view(Float32Array, scales, scales.length / 4), width)
  const out = new Float32Array(count)
  decodeFloat32(storage, bytes, out)
  return out
}
