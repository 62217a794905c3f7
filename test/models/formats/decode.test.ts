import { describe, expect, it } from 'vitest'
import { decodeFloat32 } from '../../../main/models/formats/decode'
import { byteLengthOf, elementsOf, type PlainType } from '../../../main/models/formats/storage'

describe('decoding plain types to float32', () => {
  const arrays: [PlainType, ArrayBufferView, number[]][] = [
    ['F64', Float64Array.of(0.1, -1e300), [Math.fround(0.1), -Infinity]],
    ['F32', Float32Array.of(0.5, -2), [0.5, -2]],
    ['F16', Uint16Array.of(0x3c00, 0xc000), [1, -2]],
    ['BF16', Uint16Array.of(0x3f80, 0xc000), [1, -2]],
    ['F8_E4M3', Uint8Array.of(0x38, 0xc0), [1, -2]],
    ['F8_E5M2', Uint8Array.of(0x3c, 0xc0), [1, -2]],
    ['I64', BigInt64Array.of(-1n, 2n ** 40n + 1n), [-1, 2 ** 40]],
    ['U64', BigUint64Array.of(1n, 2n ** 64n - 1n), [1, 2 ** 64]],
    ['I32', Int32Array.of(-1, 16777217), [-1, 16777216]],
    ['U32', Uint32Array.of(1, 0xffffffff), [1, 2 ** 32]],
    ['I16', Int16Array.of(-1, 300), [-1, 300]],
    ['U16', Uint16Array.of(1, 65535), [1, 65535]],
    ['I8', Int8Array.of(-1, 127), [-1, 127]],
    ['U8', Uint8Array.of(1, 255), [1, 255]],
    ['BOOL', Uint8Array.of(0, 1), [0, 1]],
  ]
  it.each(arrays)('reads %s, aligned or not', (storage, array, expected) => {
    const bytes = new Uint8Array(array.buffer)
    const shifted = new Uint8Array(bytes.length + 1)
    shifted.set(bytes, 1)
    for (const source of [bytes, shifted.subarray(1)]) {
      const out = new Float32Array(2)
      decodeFloat32(storage, source, out)
      expect(Array.from(out)).toEqual(expected)
    }
  })
})

describe('sizes', () => {
  it('multiplies shapes, and gives nothing where the product is not exact', () => {
    expect(elementsOf([])).toBe(1)
    expect(elementsOf([2, 3])).toBe(6)
    expect(elementsOf([2 ** 40, 0])).toBe(0)
    for (const shape of [[2 ** 27, 2 ** 27], [-1], [1.5], [NaN], [2 ** 53], [0, -1], [0, 2 ** 53]])
      expect(elementsOf(shape)).toBeUndefined()
  })

  it('counts block types in whole blocks along the innermost dimension', () => {
    expect(byteLengthOf('Q4_1', [3, 64])).toBe(3 * 2 * 20)
    expect(byteLengthOf('Q6_K', [256])).toBe(210)
    expect(byteLengthOf('Q4_1', [64, 16])).toBeUndefined()
    expect(byteLengthOf('Q8_0', [])).toBeUndefined()
    expect(byteLengthOf('F64', [2 ** 51])).toBeUndefined()
  })
})
