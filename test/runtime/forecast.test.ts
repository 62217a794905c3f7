import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import type { TransformerSpec } from '../../main/models/spec'
import {
  choicesWithin,
  fitsWithin,
  forecastMemory,
  memoryAdvice,
  partsOf,
  requireBudget,
  sessionBytesUnder,
  type MemoryForecast,
} from '../../main/runtime/forecast'
import { staying } from '../../main/runtime/residency'
import { quantisedCheckpoint } from '../support/quantised-checkpoint'

let checkpoint: Checkpoint
let spec: TransformerSpec
beforeAll(async () => {
  const gguf = path.join(import.meta.dirname, '../reference/cases/gguf/llama.gguf')
  checkpoint = await quantisedCheckpoint(await openCheckpoint(gguf), 'Q4_1')
  spec = await readSpec(checkpoint)
})
afterAll(() => checkpoint.close())

/** The same model with more blocks: only the sizes count. */
const deeper = (blocks: number): TransformerSpec => ({
  ...spec,
  blocks: Array.from({ length: blocks }, (_, i) => spec.blocks[i % spec.blocks.length]),
})

describe('the forecast of memory', () => {
  it('grows with the blocks, while the least budget stays', () => {
    const sizes = [2, 20, 200].map((blocks) => forecastMemory(checkpoint, deeper(blocks)))
    for (const precision of [0, 1]) {
      const [few, more, many] = sizes.map((forecasts) => forecasts[precision])
      expect(more.whole).toBeGreaterThan(few.whole)
      expect(many.whole - more.whole).toBe(10 * (more.whole - few.whole))
      expect(many.least).toBe(few.least)
      expect(few.least).toBeLessThan(few.whole)
    }
  })

  it('is smaller quantised, and leaves that out of a model that has no blocks', async () => {
    const [float32, quantised] = forecastMemory(checkpoint, spec)
    expect([float32.precision, quantised.precision]).toEqual(['float32', 'quantised'])
    expect(quantised.whole).toBeLessThan(float32.whole)
    const plain = await openCheckpoint(path.join(import.meta.dirname, '../reference/cases/gguf/llama.gguf'))
    expect(forecastMemory(plain, spec).map(({ precision }) => precision)).toEqual(['float32'])
    await plain.close()
  })

  const forecasts: MemoryForecast[] = [
    { precision: 'float32', whole: 900e6, least: 400e6 },
    { precision: 'quantised', whole: 500e6, least: 300e6 },
  ]

  it('says which precision or budget fits', () => {
    expect(memoryAdvice(forecasts, 1e9)).toContain('in float32')
    expect(memoryAdvice(forecasts, 600e6)).toContain('in quantised, which takes about 500 MB')
    expect(memoryAdvice(forecasts, 450e6)).toContain('in float32 with a memory budget of 450 MB')
    expect(memoryAdvice(forecasts, 350e6)).toContain('in quantised with a memory budget of 350 MB')
    expect(memoryAdvice(forecasts, 100e6)).toContain('300 MB at the least, in quantised')
  })

  it('lists the ways that fit, whole ones first, and nothing where none does', () => {
    const ways = (available: number) =>
      choicesWithin(forecasts, available).map(({ precision, memoryBudget }) => [precision, memoryBudget])
    expect(ways(1e9)).toEqual([
      ['float32', null],
      ['quantised', null],
    ])
    expect(ways(600e6)).toEqual([
      ['quantised', null],
      ['float32', 600e6],
    ])
    expect(ways(350e6)).toEqual([['quantised', 350e6]])
    expect(ways(100e6)).toEqual([])
  })

  it('says of each way that it lists that it fits, and of no other', () => {
    for (const available of [1e9, 600e6, 450e6, 350e6, 100e6]) {
      for (const choice of choicesWithin(forecasts, available))
        expect(fitsWithin(forecasts, choice, available)).toBe(true)
      for (const precision of ['float32', 'quantised'] as const)
        expect(fitsWithin(forecasts, { precision, memoryBudget: null }, available)).toBe(
          choicesWithin(forecasts, available).some(
            (one) => one.precision === precision && one.memoryBudget === null,
          ),
        )
    }
    expect(fitsWithin(forecasts, { precision: 'float32', memoryBudget: 500e6 }, 600e6)).toBe(true)
    expect(fitsWithin(forecasts, { precision: 'float32', memoryBudget: 500e6 }, 450e6)).toBe(false)
    expect(fitsWithin(forecasts, { precision: 'float32', memoryBudget: 300e6 }, 600e6)).toBe(false)
  })

  it('refuses a budget that is too small for one part, and says what would fit', () => {
    expect(() => requireBudget(forecasts, 'float32', 400e6)).not.toThrow()
    expect(() => requireBudget(forecasts, 'float32', 350e6)).toThrow(
      expect.objectContaining({
        code: 'memory.exhausted',
        field: 'memoryBudget',
        next: expect.stringContaining('quantised with a memory budget of 350 MB') as string,
      }),
    )
  })
})

describe('the parts that stay compiled', () => {
  const parts = [
    { part: 0, bytes: 10 },
    { part: 1, bytes: 10 },
    { part: 2, bytes: 10 },
    { part: 'unembedding', bytes: 30 },
  ] as const

  it.each([
    [60, [0, 1, 2, 'unembedding']],
    [59, [0, 1, 2].slice(0, 2)],
    [50, [0, 1]],
    [45, [0]],
    [30, []],
    [5, []],
  ])('within %i bytes are %j, beside the largest of the others', (available, want) => {
    const stay = staying(parts, available)
    const bytes = (kept: boolean) =>
      parts.filter(({ part }) => stay.has(part) === kept).map((one) => one.bytes)
    const taken = bytes(true).reduce((sum, size) => sum + size, 0)
    if (available >= 30) expect(taken + Math.max(0, ...bytes(false))).toBeLessThanOrEqual(available)
    if (available !== 59) expect([...stay]).toEqual(want)
    else expect(stay.size).toBeGreaterThanOrEqual(want.length)
  })

  it('are fewer the smaller the budget is', () => {
    const counts = Array.from({ length: 70 }, (_, available) => staying(parts, available).size)
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
  })

  it('leave all of a budget for sessions that the process itself does not take', () => {
    expect(sessionBytesUnder(0)).toBe(0)
    expect(sessionBytesUnder(2e9) - sessionBytesUnder(1e9)).toBe(1e9)
    const bytes = partsOf(spec, (weights) => weights.length).map((one) => one.bytes)
    expect(bytes).toHaveLength(spec.blocks.length + 1)
  })
})
