import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../../main/models/formats/checkpoint'
import {
  ggufBoolean,
  ggufBooleans,
  ggufNumber,
  ggufNumbers,
  ggufString,
  ggufStrings,
} from '../../../../main/models/formats/gguf'
import { failureOf, useScratch } from '../../scratch'
import { array, f32, gguf, pair, smallGguf, text, u32, u64, type GgufSpec } from './build'

const scratch = useScratch()
const openBytes = async (bytes: Uint8Array) => openCheckpoint(await scratch.write('model.gguf', bytes))

describe('a whole GGUF file', () => {
  it('gives every metadata value with its type', async () => {
    const checkpoint = await openBytes(smallGguf())
    expect(checkpoint.format).toBe('gguf')
    expect(Object.fromEntries(checkpoint.metadata)).toEqual({
      'general.architecture': { type: 'string', value: 'llama' },
      'a.uint8': { type: 'uint8', value: 200 },
      'a.int8': { type: 'int8', value: -1 },
      'a.uint16': { type: 'uint16', value: 65535 },
      'a.int16': { type: 'int16', value: -2 },
      'a.uint32': { type: 'uint32', value: 4_000_000_000 },
      'a.int32': { type: 'int32', value: -3 },
      'a.float32': { type: 'float32', value: 0.5 },
      'a.bool': { type: 'bool', value: true },
      'a.uint64': { type: 'uint64', value: 2n ** 64n - 1n },
      'a.int64': { type: 'int64', value: -2n },
      'a.float64': { type: 'float64', value: 1e300 },
      tokens: { type: 'array', of: 'string', value: ['a', '', 'Ġé'] },
      types: { type: 'array', of: 'int32', value: Int32Array.of(1, -1) },
      flags: { type: 'array', of: 'bool', value: [true, false, true] },
      nested: {
        type: 'array',
        of: 'array',
        value: [
          { type: 'array', of: 'uint8', value: Uint8Array.of(7) },
          { type: 'array', of: 'string', value: [] },
        ],
      },
    })
    await checkpoint.close()
  })

  it('gives tensors with the outermost dimension first, and reads them', async () => {
    const checkpoint = await openBytes(smallGguf())
    expect(checkpoint.tensors.get('plain')).toMatchObject({ storage: 'F32', shape: [3, 2], byteLength: 24 })
    expect(await checkpoint.readFloat32('plain')).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6))
    expect(await checkpoint.readFloat32('blocks')).toEqual(
      Float32Array.from({ length: 32 }, (_, i) => i - 16),
    )
    expect(await checkpoint.readRaw('plain', 4, 8)).toEqual(new Uint8Array(f32(2)))
    await checkpoint.close()
  })

  it('reads version 2 like version 3', async () => {
    const bytes = smallGguf()
    bytes.writeUInt32LE(2, 4)
    const checkpoint = await openBytes(bytes)
    expect(checkpoint.tensors.size).toBe(2)
    await checkpoint.close()
  })

  it('honours another alignment', async () => {
    const checkpoint = await openBytes(
      gguf({
        pairs: [pair('general.alignment', 'uint32', u32(64))],
        tensors: [{ name: 'w', dimensions: [2], type: 0, offset: 64 }],
        alignment: 64,
        data: Buffer.concat([Buffer.alloc(64), f32(3, 4)]),
      }),
    )
    expect(await checkpoint.readFloat32('w')).toEqual(Float32Array.of(3, 4))
    await checkpoint.close()
  })

  it('reads values that are longer than the window over the file', async () => {
    const long = 'x'.repeat(700_000)
    const numbers = Float32Array.from({ length: 200_000 }, (_, i) => i)
    const checkpoint = await openBytes(
      gguf({
        pairs: [
          pair('template', 'string', text(long)),
          pair('scores', 'array', array('float32', numbers.length, new Uint8Array(numbers.buffer))),
          pair(
            'tokens',
            'array',
            array('string', 90_000, ...Array.from({ length: 90_000 }, (_, i) => text(`t${i}`))),
          ),
          pair('last', 'uint32', u32(9)),
        ],
      }),
    )
    expect(ggufString(checkpoint.metadata, 'template')).toBe(long)
    expect(ggufNumbers(checkpoint.metadata, 'scores')?.[199_999]).toBe(199_999)
    expect(ggufStrings(checkpoint.metadata, 'tokens')?.[89_999]).toBe('t89999')
    expect(ggufNumber(checkpoint.metadata, 'last')).toBe(9)
    await checkpoint.close()
  })

  it('warns of tokens that are not UTF-8 and reads the others', async () => {
    const checkpoint = await openBytes(
      gguf({
        pairs: [pair('tokens', 'array', array('string', 2, text(Uint8Array.of(0xff)), text('\ufffd')))],
      }),
    )
    expect(ggufStrings(checkpoint.metadata, 'tokens')).toEqual(['\ufffd', '\ufffd'])
    expect(checkpoint.warnings).toEqual([expect.stringContaining('1 strings')])
    await checkpoint.close()
  })

  it('takes names like __proto__ for names', async () => {
    const checkpoint = await openBytes(
      gguf({
        pairs: [pair('__proto__', 'uint8', Buffer.from([1]))],
        tensors: [{ name: '__proto__', dimensions: [1], type: 0, offset: 0 }],
        data: f32(5),
      }),
    )
    expect(ggufNumber(checkpoint.metadata, '__proto__')).toBe(1)
    expect(ggufNumber(checkpoint.metadata, 'constructor')).toBeUndefined()
    expect(await checkpoint.readFloat32('__proto__')).toEqual(Float32Array.of(5))
    await checkpoint.close()
  })
})

describe('metadata asked for by kind', () => {
  it('gives numbers of every width, and nothing where the key is absent', async () => {
    const checkpoint = await openBytes(smallGguf())
    const { metadata } = checkpoint
    expect(ggufNumber(metadata, 'a.int64')).toBe(-2)
    expect(ggufNumbers(metadata, 'types')).toEqual([1, -1])
    expect(ggufBoolean(metadata, 'a.bool')).toBe(true)
    expect(ggufBooleans(metadata, 'flags')).toEqual([true, false, true])
    expect(
      [ggufNumber, ggufNumbers, ggufString, ggufStrings, ggufBoolean, ggufBooleans].map((get) =>
        get(metadata, 'no'),
      ),
    ).toEqual(Array(6).fill(undefined))
    await checkpoint.close()
  })

  it('refuses a value of another kind and names the key', async () => {
    const checkpoint = await openBytes(smallGguf())
    const { metadata } = checkpoint
    const wrong: [() => unknown, string][] = [
      [() => ggufNumber(metadata, 'general.architecture'), 'general.architecture'],
      [() => ggufNumber(metadata, 'a.uint64'), 'a.uint64'],
      [() => ggufString(metadata, 'a.uint8'), 'a.uint8'],
      [() => ggufStrings(metadata, 'types'), 'types'],
      [() => ggufNumbers(metadata, 'tokens'), 'tokens'],
      [() => ggufBoolean(metadata, 'a.uint8'), 'a.uint8'],
      [() => ggufBooleans(metadata, 'tokens'), 'tokens'],
    ]
    for (const [ask, key] of wrong)
      expect(await failureOf(ask)).toMatchObject({ code: 'file.malformed', field: key })
    await checkpoint.close()
  })
})

const oneTensor = (change: object): GgufSpec => ({
  tensors: [{ name: 'w', dimensions: [4], type: 0, offset: 0, ...change }],
  data: Buffer.alloc(64),
})
const nestedArrays = (depth: number) =>
  Buffer.concat([...Array.from({ length: depth }, () => array('array', 1)), array('uint8', 0)])
const aligned = (bytes: Uint8Array, type: 'uint32' | 'string' | 'int32' | 'uint64' = 'uint32'): GgufSpec => ({
  ...oneTensor({}),
  pairs: [pair('general.alignment', type, bytes)],
})

describe('a GGUF file that breaks the format', () => {
  const cases: [string, GgufSpec, RegExp, object][] = [
    ['a wrong magic', { magic: 'GGML' }, /does not begin with GGUF/, { field: 'magic', offset: 0 }],
    ['version 0', { version: 0 }, /version 0/, { field: 'version', offset: 4 }],
    ['a big-endian file', { version: 0x03000000 }, /big-endian/, { field: 'version', offset: 4 }],
    [
      '2^64 − 1 metadata values',
      { pairCount: 2n ** 64n - 1n },
      /metadata values are promised/,
      { offset: 16 },
    ],
    ['2^64 − 1 tensors', { tensorCount: 2n ** 64n - 1n }, /tensors are promised/, { offset: 8 }],
    [
      'one metadata value more than there is',
      { pairCount: 1 },
      /more than the file has room for/,
      { offset: 16 },
    ],
    [
      'a string length of 2^53',
      { pairs: [pair('k', 'string', u64(2n ** 53n))] },
      /string that is said to be 9007199254740992 bytes/,
      { field: 'k', offset: 37 },
    ],
    [
      'a string longer than the file',
      { pairs: [pair('k', 'string', u64(1000))] },
      /ends inside of/,
      { offset: 45 },
    ],
    [
      'a key length of 2^53',
      { pairs: [Buffer.concat([u64(2n ** 53n), Buffer.alloc(16)])] },
      /bytes long/,
      { offset: 24 },
    ],
    ['an empty key', { pairs: [pair('', 'uint32', u32(1))] }, /0 bytes long/, { offset: 24 }],
    [
      'a key that is not UTF-8',
      { pairs: [Buffer.concat([text(Uint8Array.of(0xc3)), u32(0), u32(0)])] },
      /not UTF-8/,
      { offset: 24 },
    ],
    [
      'an unknown value type',
      { pairs: [Buffer.concat([text('k'), u32(13), u32(0)])] },
      /type 13/,
      { field: 'k', offset: 33 },
    ],
    [
      'an unknown element type',
      { pairs: [pair('k', 'array', u32(99), u64(1))] },
      /array of type 99/,
      { field: 'k' },
    ],
    [
      'arrays nested 1,000 deep',
      { pairs: [pair('k', 'array', nestedArrays(1000))] },
      /nested more than/,
      { field: 'k' },
    ],
    [
      'an array of 2^61 numbers',
      { pairs: [pair('k', 'array', array('uint64', 2n ** 61n))] },
      /more than the file has room for/,
      { field: 'k' },
    ],
    [
      'an array of 2^64 − 1 strings',
      { pairs: [pair('k', 'array', array('string', 2n ** 64n - 1n))] },
      /more than the file has room for/,
      {},
    ],
    [
      'an array of 2^40 arrays',
      { pairs: [pair('k', 'array', array('array', 2n ** 40n))] },
      /more than the file has room for/,
      {},
    ],
    ['a bool of 2', { pairs: [pair('k', 'bool', Buffer.from([2]))] }, /true or false/, { field: 'k' }],
    [
      'a bool of 2 in an array',
      { pairs: [pair('k', 'array', array('bool', 1, Buffer.from([2])))] },
      /true or false/,
      { field: 'k' },
    ],
    [
      'a key that is there twice',
      { pairs: [pair('k', 'uint8', Buffer.from([1])), pair('k', 'uint8', Buffer.from([1]))] },
      /twice/,
      { field: 'k', offset: 38 },
    ],
    ['an alignment of 0', aligned(u32(0)), /power of two, but is 0/, { field: 'general.alignment' }],
    ['an alignment of 13', aligned(u32(13)), /power of two, but is 13/, { field: 'general.alignment' }],
    [
      'an alignment that is a string',
      aligned(text('32'), 'string'),
      /uint32/,
      { field: 'general.alignment' },
    ],
    ['an alignment that is a uint64', aligned(u64(32), 'uint64'), /uint32/, { field: 'general.alignment' }],
    ['an alignment that is an int32', aligned(u32(32), 'int32'), /uint32/, { field: 'general.alignment' }],
    ['five dimensions', oneTensor({ dimensions: [1, 1, 1, 1, 1] }), /5 dimensions/, { field: 'w' }],
    [
      'a shape whose product overflows',
      oneTensor({ dimensions: [2n ** 32n, 2n ** 32n] }),
      /impossible shape/,
      { field: 'w' },
    ],
    [
      'a dimension of 2^64 − 1',
      oneTensor({ dimensions: [2n ** 64n - 1n] }),
      /impossible shape/,
      { field: 'w' },
    ],
    [
      'rows that are not whole blocks',
      oneTensor({ dimensions: [16, 2], type: 8 }),
      /whole blocks of 32/,
      { field: 'w' },
    ],
    ['an unknown tensor type', oneTensor({ type: 77 }), /type 77/, { field: 'w' }],
    ['a tensor past the end', oneTensor({ dimensions: [17] }), /4 bytes after the end/, { field: 'w' }],
    ['a tensor that begins past the end', oneTensor({ offset: 2n ** 63n }), /after the end/, { field: 'w' }],
    ['an offset that is not aligned', oneTensor({ offset: 4 }), /multiple of 32/, { field: 'w' }],
    ['an empty tensor name', oneTensor({ name: '' }), /0 bytes long/, {}],
  ]
  it.each(cases)('refuses %s', async (_, spec, message, place) => {
    const error = await failureOf(() => openBytes(gguf(spec)))
    expect(error).toMatchObject({ code: 'file.malformed', ...place })
    expect(error.message).toMatch(message)
    expect(error.file).toMatch(/model\.gguf$/)
    expect(error.next).toBeTruthy()
  })

  it('refuses a tensor that is there twice', async () => {
    const spec = { name: 'w', dimensions: [4], type: 0, offset: 0 }
    const error = await failureOf(() =>
      openBytes(gguf({ tensors: [spec, { ...spec, offset: 32 }], data: Buffer.alloc(64) })),
    )
    expect(error).toMatchObject({ code: 'file.malformed', field: 'w' })
    expect(error.message).toMatch(/twice/)
  })

  it.each([
    ['metadata values', { pairCount: 65_537 }],
    ['tensors', { tensorCount: 262_145 }],
  ])('refuses more %s than any real file has, though there were room for them', async (what, counts) => {
    const error = await failureOf(() => openBytes(gguf({ ...counts, data: Buffer.alloc(7_000_000) })))
    expect(error.code).toBe('file.malformed')
    expect(error.message).toMatch(new RegExp(`${what} are promised; at most`))
  })

  it('refuses more nested arrays than any real file has', async () => {
    const inner = array('array', 65_536, ...Array.from({ length: 65_536 }, () => array('uint8', 0)))
    const error = await failureOf(() =>
      openBytes(gguf({ pairs: [pair('k', 'array', array('array', 1, inner))] })),
    )
    expect(error).toMatchObject({ code: 'file.malformed', field: 'k' })
    expect(error.message).toMatch(/more than 65536/)
  })

  it('refuses tensors that overlap', async () => {
    const tensors = [
      { name: 'a', dimensions: [16], type: 0, offset: 0 },
      { name: 'b', dimensions: [4], type: 0, offset: 32 },
    ]
    const error = await failureOf(() => openBytes(gguf({ tensors, data: Buffer.alloc(64) })))
    expect(error).toMatchObject({ code: 'file.malformed', field: 'b' })
    expect(error.message).toMatch(/overlaps tensor "a"/)
  })

  it.each([
    [1, /version 1/],
    [4, /version 4/],
  ])('says that version %i is not read', async (version, message) => {
    const error = await failureOf(() => openBytes(gguf({ version })))
    expect(error).toMatchObject({ code: 'model.unsupported', field: 'version' })
    expect(error.message).toMatch(message)
  })

  it.each([
    [9, 'Q8_1'],
    [4, 'Q4_2'],
    [41, 'Q1_0'],
  ])('names the tensor type %i, which exists but is not read', async (type, name) => {
    const error = await failureOf(() => openBytes(gguf(oneTensor({ type }))))
    expect(error).toMatchObject({ code: 'model.unsupported', field: 'w' })
    expect(error.message).toContain(name)
  })

  it('shows hostile names escaped and cut', async () => {
    const name = `\u202e\u0007${'x'.repeat(500)}`
    const error = await failureOf(() => openBytes(gguf(oneTensor({ name, type: 77 }))))
    expect(error.message).toContain('\\u202e\\u0007xxx')
    expect(error.message.length).toBeLessThan(250)
  })
})
