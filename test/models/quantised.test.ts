import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { centreOf, codeFormats } from '../../main/models/formats/quants/codes'
import { unitOf, type GgufBlockType } from '../../main/models/formats/storage'
import { packedLayout, readPacked } from '../../main/models/quantised'
import { permuted, reshaped, shifted, sliced, unpermuted, weight } from '../../main/models/weights'

const types = Object.keys(codeFormats) as GgufBlockType[]
const ROWS = 4
const COLUMNS = 512

let quants: Checkpoint
beforeAll(async () => {
  quants = await openCheckpoint(path.join(import.meta.dirname, '../reference/cases/gguf/quants.gguf'))
})
afterAll(() => quants.close())

const entryOf = (type: string) => {
  const entry = quants.tensors.get(`blk.0.${type.toLowerCase()}`)
  if (entry === undefined) throw new Error(type)
  return entry
}

describe('quantised matrices', () => {
  it.each(types)(
    'take %s apart into codes, scales and shifts that make the dequantised numbers',
    async (type) => {
      const format = codeFormats[type]
      if (format === undefined) throw new Error(type)
      const { name } = entryOf(type)
      const want = await quants.readFloat32(name)
      const parts = {
        codes: new Uint8Array(want.length),
        scales: new Float32Array(want.length / format.group),
        shifts: new Float32Array(want.length / format.group),
      }
      format.read(await quants.readRaw(name), want.length / unitOf(type).elements, parts)
      const zero = format.zero ?? centreOf(format.bits)
      const largest = Math.max(...want.map(Math.abs))
      want.forEach((value, i) => {
        const group = Math.floor(i / format.group)
        const shift = format.zero === null ? parts.shifts[group] : 0
        const got = Math.fround(parts.scales[group] * (parts.codes[i] - zero) + shift)
        if (format.zero === null) expect(Math.abs(got - value)).toBeLessThanOrEqual(3e-7 * largest)
        else expect(got + 0).toBe(value + 0)
        expect(parts.codes[i]).toBeLessThan(2 ** format.bits)
      })
    },
  )

  it('lie packed as planes of nibbles, then scales, then shifts', async () => {
    const used = weight('blk.0.q4_1', ROWS, COLUMNS)
    const layout = packedLayout(entryOf('q4_1'), used)
    expect(layout).toEqual({
      rows: ROWS,
      columns: COLUMNS,
      group: 32,
      zero: null,
      planes: [{ offset: 0, length: 1024 }],
      scales: { offset: 1024, length: 256 },
      shifts: { offset: 1280, length: 256 },
      byteLength: 1536,
    })
    if (layout === null) return
    const packed = await readPacked(quants, used, layout)
    const raw = await quants.readRaw('blk.0.q4_1')
    // d, m, then nibbles whose low halves are the first 16 elements
    expect(packed[0]).toBe((raw[4] & 15) | ((raw[5] & 15) << 4))
    expect(packed[8]).toBe((raw[4] >> 4) | ((raw[5] >> 4) << 4))
    expect(packedLayout(entryOf('q8_0'), weight('blk.0.q8_0', ROWS, COLUMNS))?.planes).toHaveLength(2)
  })

  it('are packed with their rows chosen and ordered', async () => {
    const all = weight('blk.0.q4_0', ROWS, COLUMNS)
    const chosen = [
      { used: all, rows: [0, 1, 2, 3] },
      { used: unpermuted(all, 1), rows: [0, 2, 1, 3] },
      { used: sliced(all, 0, 1, 3), rows: [1, 2] },
      { used: sliced(all, 0, 1, 4, 2), rows: [1, 3] },
      { used: reshaped(sliced(reshaped(all, 2, 2, COLUMNS), 0, 1, 2), 2, COLUMNS), rows: [2, 3] },
      { used: reshaped(sliced(reshaped(all, 2, 2, COLUMNS), 1, 1, 2), 2, COLUMNS), rows: [1, 3] },
    ]
    const layoutOf = packedLayout(entryOf('q4_0'), all)
    if (layoutOf === null) throw new Error('not packed')
    const whole = await readPacked(quants, all, layoutOf)
    const row = (packed: Uint8Array, i: number) => packed.slice((i * COLUMNS) / 2, ((i + 1) * COLUMNS) / 2)
    for (const { used, rows } of chosen) {
      const layout = packedLayout(entryOf('q4_0'), used)
      if (layout === null) throw new Error(used.name)
      const packed = await readPacked(quants, used, layout)
      expect(rows.map((_, i) => row(packed, i))).toEqual(rows.map((i) => row(whole, i)))
    }
  })

  it('are not made of other types, nor where a step cuts, moves or changes what is inside of rows', () => {
    const all = weight('blk.0.q4_0', ROWS, COLUMNS)
    const entry = entryOf('q4_0')
    expect(packedLayout(entryOf('q2_k'), weight('blk.0.q2_k', ROWS, COLUMNS))).toBeNull()
    expect(packedLayout(entryOf('f16'), weight('blk.0.f16', ROWS, COLUMNS))).toBeNull()
    expect(packedLayout(entry, sliced(all, 1, 0, 256))).toBeNull()
    expect(packedLayout(entry, permuted(all, 1, 0))).toBeNull()
    expect(packedLayout(entry, shifted(all, 1))).toBeNull()
    expect(packedLayout(entry, reshaped(all, ROWS * 2, COLUMNS / 2))).toBeNull()
  })
})
