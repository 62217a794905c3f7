/**
 * The small floating-point formats of weight files: float16, bfloat16 and the two 8-bit ones, to float32 and, for the
 * 16-bit ones, back. Bits in, bits out: node 20 has no Float16Array. Decoding is exact, NaN payloads included.
 */

/** float32 bits of every float16, by the float16's bits. */
const float16Bits = new Uint32Array(65536)

/** The value of every float16, by its bits: the block scales of GGUF are looked up here. */
export const float16Values = new Float32Array(float16Bits.buffer)

for (let half = 0; half < 65536; half++) float16Bits[half] = float32BitsOfHalf(half)

function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >>> 10) & 0x1f
  const mantissa = half & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (mantissa << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13)
  if (mantissa === 0) return sign
  // A subnormal: shift the leading one up to where float32 leaves it implicit.
  const shift = Math.clz32(mantissa) - 21
  return sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)
}

const float32Bits = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length)

/** float16 bits to float32, element by element. */
export function decodeFloat16(
  bits: Uint16Array,
  out: Float32Array = new Float32Array(bits.length),
): Float32Array {
  const target = float32Bits(out)
  for (let i = 0; i < bits.length; i++) target[i] = float16Bits[bits[i]]
  return out
}

/** bfloat16 bits to float32: the upper half of its bits. */
export function decodeBfloat16(
  bits: Uint16Array,
  out: Float32Array = new Float32Array(bits.length),
): Float32Array {
  const target = float32Bits(out)
  for (let i = 0; i < bits.length; i++) target[i] = bits[i] << 16
  return out
}

/** float32 to float16 bits, rounded to nearest, ties to even; beyond 65504 (by half a step) infinity, NaN stays NaN. */
export function encodeFloat16(
  values: Float32Array,
  out: Uint16Array = new Uint16Array(values.length),
): Uint16Array {
  const source = float32Bits(values)
  for (let i = 0; i < source.length; i++) out[i] = halfOfFloat32Bits(source[i])
  return out
}

/** One float32 to one float16, as bits. */
export function halfOfFloat32Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff)
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude >= 0x38800000) {
    const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)
    return sign | (rounded >>> 13)
  }
  // Below 2^-14 float16 counts in steps of 2^-24; up to half a step rounds to zero.
  if (magnitude <= 0x33000000) return sign
  const shift = 126 - (magnitude >>> 23)
  const mantissa = (magnitude & 0x7fffff) | 0x800000
  const kept = mantissa >>> shift
  const dropped = mantissa & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return sign | (kept + (dropped > half || (dropped === half && (kept & 1) === 1) ? 1 : 0))
}

/** float32 to bfloat16 bits, rounded to nearest, ties to even; NaN stays NaN (quiet). */
export function encodeBfloat16(
  values: Float32Array,
  out: Uint16Array = new Uint16Array(values.length),
): Uint16Array {
  const source = float32Bits(values)
  for (let i = 0; i < source.length; i++) {
    const bits = source[i]
    const nan = (bits & 0x7fffffff) > 0x7f800000
    out[i] = nan ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
  }
  return out
}

/** Values of OCP FP8 E4M3 (the "fn" variant: no infinities, NaN only at S.1111.111), by bits. */
const e4m3Values = Float32Array.from({ length: 256 }, (_, bits) => {
  const sign = bits & 0x80 ? -1 : 1
  const exponent = (bits >>> 3) & 0xf
  const mantissa = bits & 7
  if (exponent === 15 && mantissa === 7) return NaN
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7))
})

/** 8-bit floats of 4 exponent and 3 mantissa bits to float32. */
export function decodeFloat8E4M3(
  bits: Uint8Array,
  out: Float32Array = new Float32Array(bits.length),
): Float32Array {
  for (let i = 0; i < bits.length; i++) out[i] = e4m3Values[bits[i]]
  return out
}

/** 8-bit floats of 5 exponent and 2 mantissa bits to float32: they are the upper half of a float16. */
export function decodeFloat8E5M2(
  bits: Uint8Array,
  out: Float32Array = new Float32Array(bits.length),
): Float32Array {
  const target = float32Bits(out)
  for (let i = 0; i < bits.length; i++) target[i] = float16Bits[bits[i] << 8]
  return out
}
