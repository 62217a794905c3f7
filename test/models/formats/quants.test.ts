/** Every GGUF tensor type against gguf-py's own dequantisation, bit for bit. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCheckpoint, type Checkpoint } from '../../../main/models/formats/checkpoint'
import { ggufBlocks } from '../../../main/models/formats/storage'
import { SafetensorsFile } from '../../../main/models/formats/safetensors'

const folder = path.join(import.meta.dirname, '../../reference/cases/gguf')
const types = [
  ...['f32', 'f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k'],
  ...[
    'iq1_s',
    'iq1_m',
    'iq2_xxs',
    'iq2_xs',
    'iq2_s',
    'iq3_xxs',
    'iq3_s',
    'iq4_nl',
    'iq4_xs',
    'tq1_0',
    'tq2_0',
  ],
  ...['mxfp4', 'nvfp4'],
]

let quants: Checkpoint
let expected: SafetensorsFile
beforeAll(async () => {
  quants = await openCheckpoint(path.join(folder, 'quants.gguf'))
  expected = await SafetensorsFile.open(path.join(folder, 'quants.expected.safetensors'))
})
afterAll(async () => {
  await quants.close()
  await expected.close()
})

const bits = (values: Float32Array) =>
  Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length))

describe('dequantisation', () => {
  test.each(types)('decodes %s to the very bits of the reference', async (type) => {
    const name = `blk.0.${type}`
    expect(quants.tensors.get(name)?.storage).toBe(type.toUpperCase())
    expect(quants.tensors.get(name)?.shape).toEqual([4, 512])
    expect(bits(await quants.readFloat32(name))).toEqual(bits(await expected.readFloat32(name)))
  })

  test('covers every block type that files may carry, and the reference has no other tensors', () => {
    const covered = new Set(types.map((type) => type.toUpperCase()))
    for (const type of Object.keys(ggufBlocks)) expect(covered).toContain(type)
    expect([...expected.tensors.keys()].sort()).toEqual(types.map((type) => `blk.0.${type}`).sort())
    expect([...quants.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort())
  })
})
