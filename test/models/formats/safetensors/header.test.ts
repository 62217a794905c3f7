import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { SafetensorsFile, decodeSafetensors } from '../../../../main/models/formats/safetensors'
import { failureOf, useScratch } from '../../scratch'
import { entry, safetensors } from './build'

const scratch = useScratch()

describe('a safetensors file that breaks the format', () => {
  const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  const cases: [string, Uint8Array, RegExp, object][] = [
    ['an empty file', new Uint8Array(0), /at least 8 bytes/, { field: 'header length', offset: 0 }],
    ['a file of 7 bytes', new Uint8Array(7), /at least 8 bytes/, { field: 'header length', offset: 0 }],
    ['a header length of 2^63', safetensors('{}', 0, 2n ** 63n), /9223372036854775808 bytes/, { offset: 0 }],
    [
      'a header length of 2^64 − 1',
      safetensors('{}', 0, 2n ** 64n - 1n),
      /more than the format allows/,
      { offset: 0 },
    ],
    [
      'a header beyond 100 MB',
      safetensors('{}', 0, 100_000_001n),
      /more than the format allows/,
      { offset: 0 },
    ],
    ['a header longer than the file', safetensors('{}', 0, 3n), /more than the file has/, { offset: 0 }],
    ['a header length of 0', safetensors(''), /does not begin with \{/, { offset: 8 }],
    ['a header that begins with a space', safetensors(' {}'), /does not begin with \{/, { offset: 8 }],
    ['a header that is not UTF-8', safetensors('{}', Uint8Array.of(0xff), 3n), /not UTF-8/, { offset: 8 }],
    ['a header that is cut off', safetensors('{"a":'), /JSON value is expected/, { offset: 13 }],
    ['something after the header', safetensors('{} {}'), /after the end of the JSON/, { offset: 11 }],
    ['deep JSON', safetensors(deep), /nested more than 8 deep/, {}],
    ['a tensor that is an array', safetensors({ a: [] }), /not described by an object/, { field: 'a' }],
    [
      'a tensor without dtype',
      safetensors({ a: { shape: [], data_offsets: [0, 0] } }),
      /no dtype/,
      { field: 'a' },
    ],
    ['an unknown dtype', safetensors({ a: entry('F4', [2], 0, 1) }, 1), /dtype "F4"/, { field: 'a' }],
    [
      'a dtype named like a property of objects',
      safetensors({ a: entry('constructor', [], 0, 0) }),
      /dtype/,
      {},
    ],
    ['a tensor without shape', safetensors({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), /no shape/, {}],
    ['a negative dimension', safetensors({ a: entry('F32', [-1], 0, 4) }, 4), /overflows/, { field: 'a' }],
    [
      'a fractional dimension',
      safetensors('{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', 4),
      /overflows/,
      {},
    ],
    [
      'a shape whose product overflows',
      safetensors({ a: entry('U8', [2 ** 32, 2 ** 32], 0, 0) }),
      /overflows/,
      { field: 'a' },
    ],
    [
      'a shape whose bytes overflow',
      safetensors({ a: entry('F64', [2 ** 52], 0, 0) }),
      /too many bytes/,
      { field: 'a' },
    ],
    [
      'a dimension beyond 2^53 with a zero beside it',
      safetensors('{"a":{"dtype":"U8","shape":[0,9007199254740993],"data_offsets":[0,0]}}'),
      /overflows/,
      {},
    ],
    [
      'a tensor without data_offsets',
      safetensors({ a: { dtype: 'F32', shape: [1] } }, 4),
      /no data_offsets/,
      {},
    ],
    [
      'three data_offsets',
      safetensors({ a: { ...entry('F32', [1], 0, 4), data_offsets: [0, 4, 4] } }, 4),
      /no data_offsets/,
      {},
    ],
    [
      'data_offsets that run backwards',
      safetensors({ a: entry('F32', [1], 4, 0) }, 4),
      /impossible data_offsets/,
      { field: 'a' },
    ],
    ['negative data_offsets', safetensors({ a: entry('F32', [1], -4, 0) }, 4), /impossible data_offsets/, {}],
    [
      'sizes that disagree',
      safetensors({ a: entry('F32', [3], 0, 8) }, 8),
      /takes 12 bytes, but its data_offsets give it 8/,
      { field: 'a' },
    ],
    [
      'a tensor past the end',
      safetensors({ a: entry('F32', [3], 0, 12) }, 8),
      /4 bytes after the end/,
      { field: 'a' },
    ],
    ['trailing bytes', safetensors({ a: entry('F32', [1], 0, 4) }, 6), /2 bytes after the last tensor/, {}],
    ['bytes of no tensor at all', safetensors({}, 1), /1 bytes after the last tensor/, {}],
    [
      'a gap at the start',
      safetensors({ a: entry('F32', [1], 4, 8) }, 8),
      /4 bytes of no tensor before/,
      { field: 'a' },
    ],
    [
      'a gap between tensors',
      safetensors({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 8, 12) }, 12),
      /4 bytes of no tensor before tensor "b"/,
      { field: 'b' },
    ],
    [
      'overlapping tensors',
      safetensors({ a: entry('F32', [2], 0, 8), b: entry('F32', [2], 4, 12) }, 12),
      /tensor "b" overlaps/,
      { field: 'b' },
    ],
    [
      'two tensors on the same bytes',
      safetensors({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 0, 4) }, 4),
      /overlaps/,
      {},
    ],
    [
      'a name that is there twice',
      safetensors(
        `{"a":${JSON.stringify(entry('F32', [1], 0, 4))},"a":${JSON.stringify(entry('F32', [1], 4, 8))}}`,
        8,
      ),
      /"a" is there twice/,
      { field: 'a', offset: 62 },
    ],
    [
      'a name that is there twice, once escaped',
      safetensors('{"a":{},"\\u0061":{}}'),
      /twice/,
      { field: 'a', offset: 16 },
    ],
    [
      'a metadata key that is there twice',
      safetensors('{"__metadata__":{"k":"1","k":"2"}}'),
      /"k" is there twice/,
      { field: 'k' },
    ],
    [
      'metadata that is not text',
      safetensors({ __metadata__: { k: 1 } }),
      /not a string/,
      { field: '__metadata__' },
    ],
    [
      'metadata that is a list',
      safetensors({ __metadata__: [] }),
      /not an object/,
      { field: '__metadata__' },
    ],
    ['half of a surrogate pair', safetensors('{"\\ud800":1}'), /surrogate/, { offset: 9 }],
  ]

  it.each(cases)('refuses %s', async (_, bytes, message, place) => {
    const onDisk = await failureOf(async () =>
      SafetensorsFile.open(await scratch.write('m.safetensors', bytes)),
    )
    expect(onDisk).toMatchObject({ code: 'file.malformed', ...place })
    expect(onDisk.message).toMatch(message)
    expect(onDisk.file).toMatch(/m\.safetensors$/)
    expect(onDisk.next).toBeTruthy()
    const inMemory = await failureOf(() => decodeSafetensors(bytes))
    expect(inMemory.message).toMatch(message)
  })

  it('refuses what is no regular file, and what is not there', async () => {
    const folder = path.join(scratch.folder, 'folder.safetensors')
    await mkdir(folder)
    expect(await failureOf(() => SafetensorsFile.open(folder))).toMatchObject({ code: 'file.unreadable' })
    expect(await failureOf(() => SafetensorsFile.open(`${folder}/none`))).toMatchObject({
      code: 'file.missing',
    })
    expect(await failureOf(() => SafetensorsFile.open('/dev/null'))).toMatchObject({
      code: 'file.unreadable',
    })
    expect(await failureOf(() => SafetensorsFile.open('a\0b'))).toMatchObject({ code: 'file.missing' })
  })
})

describe('a safetensors file that keeps to the format', () => {
  it('takes __proto__ and constructor for names like any other', async () => {
    const text = `{"__proto__":${JSON.stringify(entry('U8', [1], 0, 1))},"constructor":${JSON.stringify(entry('U8', [1], 1, 2))},"__metadata__":{"__proto__":"x"}}`
    const { tensors, metadata } = decodeSafetensors(safetensors(text, Uint8Array.of(7, 8)))
    expect([...tensors.keys()]).toEqual(['__proto__', 'constructor'])
    expect(tensors.get('__proto__')?.bytes).toEqual(Buffer.from([7]))
    expect([...metadata]).toEqual([['__proto__', 'x']])
    expect(Object.prototype).not.toHaveProperty('dtype')
  })

  it('may have no tensors, scalars, empty tensors, unknown fields, spaces after the header and any order', async () => {
    expect(decodeSafetensors(safetensors('{}')).tensors.size).toBe(0)
    const header = {
      b: { ...entry('F32', [], 2, 6), extra: [{ deep: 1.5e3 }] },
      empty: entry('I64', [0, 5], 2, 2),
      a: entry('BF16', [1], 0, 2),
    }
    const { tensors } = decodeSafetensors(safetensors(`${JSON.stringify(header)}   \n`, 6))
    expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ['a', [1]],
      ['empty', [0, 5]],
      ['b', []],
    ])
  })

  it('is read by position: whole tensors, ranges, and refuses ranges outside', async () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer)
    const file = await SafetensorsFile.open(
      await scratch.write('m.safetensors', safetensors({ a: entry('F32', [3], 0, 12) }, data)),
    )
    expect(await file.readFloat32('a')).toEqual(Float32Array.of(1, 2, 3))
    expect(await file.readRaw('a', 4)).toEqual(data.slice(4))
    expect(await file.readRaw('a', 4, 4)).toEqual(new Uint8Array(0))
    for (const [start, end] of [
      [-1, 4],
      [8, 4],
      [0, 13],
      [0.5, 4],
    ])
      expect(await failureOf(() => file.readRaw('a', start, end))).toMatchObject({
        code: 'input.invalid',
        field: 'a',
      })
    expect(await failureOf(() => file.readFloat32('b'))).toMatchObject({
      code: 'model.incomplete',
      field: 'b',
    })
    expect(await failureOf(() => file.readInt64('a'))).toMatchObject({ code: 'file.malformed', field: 'a' })
    await file.close()
  })

  it('fails with a typed error when it is cut off while it is open', async () => {
    const name = await scratch.write('m.safetensors', safetensors({ a: entry('F32', [3], 0, 12) }, 12))
    const file = await SafetensorsFile.open(name)
    await scratch.write('m.safetensors', 'short')
    expect(await failureOf(() => file.readFloat32('a'))).toMatchObject({ code: 'file.malformed' })
    await file.close()
    expect(await failureOf(() => file.readFloat32('a'))).toMatchObject({ code: 'file.unreadable' })
  })
})
