import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  SafetensorsFile,
  decodeSafetensors,
  encodeSafetensors,
  float32Of,
  safetensorsSize,
  writeSafetensors,
  type SafetensorsInput,
} from '../../../../main/models/formats/safetensors'
import { failureOf, useScratch } from '../../scratch'

const scratch = useScratch()
const floats = (name: string, ...values: number[]): SafetensorsInput => ({
  name,
  shape: [values.length],
  data: Float32Array.from(values),
})

describe('writing safetensors', () => {
  it('gives back names, types, shapes, data and metadata, whatever they are', async () => {
    const tensor = fc.record({
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      storage: fc.constantFrom('F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'I64', 'I32', 'U8', 'BOOL'),
      seed: fc.integer({ min: 0, max: 255 }),
    })
    const name = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__metadata__')
    const widths = { F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, I64: 8, I32: 4, U8: 1, BOOL: 1 }
    fc.assert(
      fc.property(
        fc.dictionary(name, tensor),
        fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })),
        (tensors, metadata) => {
          const inputs = Object.entries(tensors).map(([name, { shape, storage, seed }]) => ({
            name,
            shape,
            storage,
            data: new Uint8Array(shape.reduce((a, b) => a * b, widths[storage])).fill(seed),
          }))
          const decoded = decodeSafetensors(encodeSafetensors(inputs, metadata))
          expect(new Map(decoded.metadata)).toEqual(new Map(Object.entries(metadata)))
          expect(decoded.tensors.size).toBe(inputs.length)
          for (const { name, shape, storage, data } of inputs) {
            const found = decoded.tensors.get(name)
            expect(found).toMatchObject({ shape, storage })
            expect(Buffer.from(found?.bytes ?? []).equals(data)).toBe(true)
          }
        },
      ),
      { numRuns: 200, seed: 1 },
    )
  })

  it('writes the same bytes to a file as to memory, producing tensors one at a time', async () => {
    const file = path.join(scratch.folder, 'new/folder/out.safetensors')
    let alive = 0
    const lazily = (name: string, ...values: number[]): SafetensorsInput => ({
      name,
      shape: [values.length],
      storage: 'F32',
      data: async () => {
        expect(++alive).toBe(1)
        await new Promise(setImmediate)
        alive--
        return Float32Array.from(values)
      },
    })
    const progress: number[][] = []
    await writeSafetensors(
      file,
      [lazily('a', 1, 2), lazily('b', 3)],
      { k: 'v' },
      { onProgress: (...p) => progress.push(p) },
    )
    const bytes = await readFile(file)
    const inputs = [floats('a', 1, 2), floats('b', 3)]
    expect(bytes.equals(encodeSafetensors(inputs, { k: 'v' }))).toBe(true)
    expect(bytes.length).toBe(safetensorsSize(inputs, { k: 'v' }))
    expect(progress).toEqual([
      [8, 12],
      [12, 12],
    ])
    expect(await readdir(path.dirname(file))).toEqual(['out.safetensors'])
  })

  it('puts wide elements first, so that every tensor is aligned, the data at a multiple of 64 bytes', () => {
    const bytes = encodeSafetensors([
      { name: 'flags', shape: [3], data: Uint8Array.of(1, 0, 1), storage: 'BOOL' },
      { name: 'half', shape: [1], data: Uint16Array.of(0x3c00), storage: 'F16' },
      floats('float', 1),
      { name: 'ids', shape: [1], data: BigInt64Array.of(-5n) },
    ])
    const { tensors } = decodeSafetensors(bytes)
    expect([...tensors.keys()]).toEqual(['ids', 'float', 'half', 'flags'])
    expect((tensors.get('ids')?.bytes.byteOffset ?? 1) % 64).toBe(0)
    const values = [...tensors.values()].map((tensor) => Array.from(float32Of(tensor)))
    expect(values).toEqual([[-5], [1], [1], [1, 0, 1]])
  })

  it.each<[string, SafetensorsInput[]]>([
    ['two tensors of one name', [floats('a', 1), floats('a', 2)]],
    ['a tensor named __metadata__', [floats('__metadata__', 1)]],
    ['a shape that does not fit the data', [{ name: 'a', shape: [3], data: Float32Array.of(1) }]],
    ['an impossible shape', [{ name: 'a', shape: [-1], data: Float32Array.of(1) }]],
    ['data whose type is not said', [{ name: 'a', shape: [1], data: Uint16Array.of(1) }]],
    ['a name that is not Unicode', [floats('\ud800', 1)]],
    [
      'bytes that are fewer than the shape takes',
      [{ name: 'a', shape: [2], storage: 'F32', data: Uint8Array.of(1) }],
    ],
  ])('refuses %s', async (_, tensors) => {
    expect(await failureOf(() => encodeSafetensors(tensors, { k: 'v' }))).toMatchObject({
      code: 'input.invalid',
    })
    const file = path.join(scratch.folder, 'out.safetensors')
    expect(await failureOf(() => writeSafetensors(file, tensors, { k: 'v' }))).toMatchObject({
      code: 'input.invalid',
    })
    expect(await readdir(scratch.folder)).toEqual([])
  })

  it('leaves the old file and nothing else when a tensor can not be produced', async () => {
    const file = await scratch.write('out.safetensors', 'old')
    const failing: SafetensorsInput = {
      name: 'b',
      shape: [1],
      storage: 'F32',
      data: () => Promise.reject(new RangeError('no')),
    }
    await expect(writeSafetensors(file, [floats('a', 1), failing])).rejects.toThrow()
    expect(await readFile(file, 'utf8')).toBe('old')
    expect(await readdir(scratch.folder)).toEqual(['out.safetensors'])
  })

  it('is read back from disk', async () => {
    const file = path.join(scratch.folder, 'out.safetensors')
    await writeSafetensors(file, [
      floats('a', 1, 2),
      { name: 'ids', shape: [2], data: BigInt64Array.of(7n, -1n) },
    ])
    const opened = await SafetensorsFile.open(file)
    expect(await opened.readInt64('ids')).toEqual(BigInt64Array.of(7n, -1n))
    expect(await opened.readFloat32('a')).toEqual(Float32Array.of(1, 2))
    await opened.close()
  })
})
