import { describe, expect, it } from 'vitest'
import { decodeNpy, encodeNpy, type NpyArray } from '../../../main/models/formats/npy'
import { failureOf } from '../scratch'

/** As numpy 2.4 writes `numpy.save(f, numpy.array([[1, 2, 3], [4, 5, 6]], dtype='float32'))`. */
const savedByNumpy = [
  'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAg',
  'ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAIA/AAAAQAAAQEAAAIBA',
  'AACgQAAAwEA=',
].join('')

const raw = (header: string, data: Uint8Array, version = 1): Uint8Array => {
  const text = Buffer.from(header, 'latin1')
  const length = Buffer.alloc(version === 1 ? 2 : 4)
  length.writeUIntLE(text.length, 0, length.length)
  return Buffer.concat([
    Buffer.from([0x93]),
    Buffer.from('NUMPY'),
    Buffer.from([version, 0]),
    length,
    text,
    data,
  ])
}
const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`
const six = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)

describe('.npy', () => {
  it('is written byte for byte as numpy writes it', () => {
    const bytes = encodeNpy({ type: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) })
    expect(Buffer.from(bytes).toString('base64')).toBe(savedByNumpy)
  })

  const arrays: NpyArray[] = [
    { type: 'float64', shape: [2], data: Float64Array.of(0.1, 2) },
    { type: 'float32', shape: [], data: Float32Array.of(3) },
    { type: 'float16', shape: [1, 2], data: Uint16Array.of(0x3c00, 0xfc00) },
    { type: 'int64', shape: [2, 1, 1], data: BigInt64Array.of(-1n, 2n ** 62n) },
    { type: 'int32', shape: [0, 4], data: new Int32Array(0) },
    { type: 'uint8', shape: [3], data: Uint8Array.of(1, 2, 255) },
    { type: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  ]
  it.each(arrays.map((array) => [array.type, array] as const))('gives %s back as it was', (_, array) => {
    const bytes = encodeNpy(array)
    expect((bytes.length - array.data.byteLength) % 64).toBe(0)
    expect(decodeNpy(bytes, 'x.npy')).toEqual(array)
    const shifted = new Uint8Array(bytes.length + 1)
    shifted.set(bytes, 1)
    expect(decodeNpy(shifted.subarray(1), 'x.npy')).toEqual(array)
  })

  it('is read in version 2.0, and with other spacing and order of keys', () => {
    expect(decodeNpy(raw(header('<f4', '(2, 3)'), six, 2), 'x')).toMatchObject({
      type: 'float32',
      shape: [2, 3],
    })
    expect(decodeNpy(raw("{ 'shape':(6,) ,'fortran_order':False,'descr':'<f4' }", six), 'x').shape).toEqual([
      6,
    ])
    expect(decodeNpy(raw(header('<f4', '(6,)', 'True'), six), 'x').shape).toEqual([6])
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['another magic', Buffer.concat([Buffer.from('PK'), Buffer.alloc(20)]), /does not begin/],
    ['version 3', raw(header('<f4', '(6,)'), six, 3), /version 3\.0/],
    ['column order', raw(header('<f4', '(2, 3)', 'True'), six), /column by column/],
    ['big-endian numbers', raw(header('>f4', '(6,)'), six), /type ">f4"/],
    ['Python objects', raw(header('|O', '(6,)'), six), /type "\|O"/],
    ['records', raw("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", six), /header/],
    ['fewer bytes than the shape takes', raw(header('<f4', '(7,)'), six), /takes 28 bytes, but there are 24/],
    ['more bytes than the shape takes', raw(header('<f4', '(5,)'), six), /takes 20 bytes, but there are 24/],
    ['an overflowing shape', raw(header('<f4', '(4294967296, 4294967296)'), six), /too many bytes/],
    ['a shape that is a number', raw(header('<f4', '6'), six), /header/],
    ['a shape with holes', raw(header('<f4', '(,6)'), six), /no tuple/],
    [
      'a key that is there twice',
      raw("{'shape': (6,), 'shape': (6,), 'descr': '<f4', 'fortran_order': False}", six),
      /twice/,
    ],
    ['a missing key', raw("{'descr': '<f4', 'shape': (6,)}", six), /header/],
    ['an order that is neither', raw("{'descr': '<f4', 'fortran_order': (), 'shape': (6,)}", six), /neither/],
    ['a header longer than the file', raw(header('<f4', '(6,)'), six).subarray(0, 40), /ends inside/],
    ['an enormous header', raw(`${header('<f4', '(6,)')}${' '.repeat(70_000)}`, six, 2), /header of/],
  ])('refuses %s', async (_, bytes, message) => {
    const error = await failureOf(() => decodeNpy(bytes, 'x.npy'))
    expect(error).toMatchObject({ code: 'file.malformed', file: 'x.npy' })
    expect(error.message).toMatch(message)
  })

  it('refuses to write a shape that does not fit the data', async () => {
    const wrong = () => encodeNpy({ type: 'float32', shape: [2], data: Float32Array.of(1) })
    expect((await failureOf(wrong)).code).toBe('input.invalid')
  })
})
