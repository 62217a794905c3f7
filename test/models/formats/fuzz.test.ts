/**
 * Damaged files: cut at every byte, and changed at random. Whatever a file says, opening it ends in a checkpoint or in a
 * PatchbayError, and no more is read than there is. PATCHBAY_FUZZ_RUNS sets the number of random changes.
 */
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { decodeNpy, encodeNpy } from '../../../main/models/formats/npy'
import { PositionalFile } from '../../../main/models/formats/positional-file'
import { encodeSafetensors } from '../../../main/models/formats/safetensors'
import { failureOf, useScratch } from '../scratch'
import { smallGguf } from './gguf/build'

const scratch = useScratch()
const runs = Number(process.env.PATCHBAY_FUZZ_RUNS ?? 600)

const smallSafetensors = () =>
  encodeSafetensors(
    [
      { name: 'weight', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
      { name: 'ids', shape: [2], data: BigInt64Array.of(1n, 2n) },
      { name: 'flag', shape: [], data: Uint8Array.of(1), storage: 'BOOL' },
    ],
    { format: 'pt' },
  )
const smallNpy = () => encodeNpy({ type: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) })

afterEach(() => vi.restoreAllMocks())

/** Opens and reads everything; true if that worked, false if it was refused with a PatchbayError. */
async function survives(file: string, size: number): Promise<boolean> {
  const reads = vi.spyOn(PositionalFile.prototype, 'readInto')
  try {
    const checkpoint = await openCheckpoint(file)
    try {
      for (const name of checkpoint.tensors.keys()) await checkpoint.readFloat32(name)
    } finally {
      await checkpoint.close()
    }
    return true
  } catch (error) {
    if (!(error instanceof PatchbayError)) throw error
    expect(error.code).toMatch(/^(file|model)\./)
    return false
  } finally {
    for (const [target] of reads.mock.calls) expect(target.length).toBeLessThanOrEqual(size)
    reads.mockRestore()
  }
}

describe.each([
  ['model.gguf', smallGguf],
  ['model.safetensors', smallSafetensors],
])('a damaged %s', (name, build) => {
  it('is refused when cut off at any byte', async () => {
    const bytes = build()
    expect(await survives(await scratch.write(name, bytes), bytes.length)).toBe(true)
    for (let length = 0; length < bytes.length; length++) {
      const file = await scratch.write(name, bytes.subarray(0, length))
      const error = await failureOf(() => openCheckpoint(file))
      expect([length, error.code]).toEqual([length, 'file.malformed'])
      expect(error.offset).toBeTypeOf('number')
    }
  })

  it('opens or is refused, whatever bytes are changed, cut out or put in', async () => {
    const bytes = build()
    const change = fc.record({
      at: fc.nat(bytes.length - 1),
      remove: fc.constantFrom(0, 1, 1, 4, 8),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 8 }),
        fc.constantFrom(...[0, 1, 0x7f, 0x80, 0xff].map((byte) => new Uint8Array(8).fill(byte))),
        fc.constantFrom(
          ...['{', '[', '"', '\\', ',', '9', '__proto__'].map((text) => new TextEncoder().encode(text)),
        ),
      ),
    })
    let opened = 0
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        let damaged = Buffer.from(bytes)
        for (const { at, remove, insert } of changes)
          damaged = Buffer.concat([damaged.subarray(0, at), insert, damaged.subarray(at + remove)])
        if (await survives(await scratch.write(name, damaged), damaged.length)) opened++
      }),
      { numRuns: runs, seed: 20 },
    )
    expect(opened).toBeGreaterThan(0)
    expect(opened).toBeLessThan(runs)
  })
})

describe('a damaged .npy', () => {
  it('is refused when cut off at any byte', async () => {
    const bytes = smallNpy()
    for (let length = 0; length < bytes.length; length++)
      expect(await failureOf(() => decodeNpy(bytes.subarray(0, length), 'x.npy'))).toMatchObject({
        code: 'file.malformed',
      })
  })

  it('is read or refused, whatever bytes are changed', () => {
    const bytes = smallNpy()
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const damaged = bytes.slice()
          for (const [at, byte] of changes) damaged[at] = byte
          try {
            decodeNpy(damaged, 'x.npy')
          } catch (error) {
            expect(error).toBeInstanceOf(PatchbayError)
          }
        },
      ),
      { numRuns: runs, seed: 21 },
    )
  })
})
