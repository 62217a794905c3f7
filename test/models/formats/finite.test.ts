import fc from 'fast-check'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fingerprint } from '../../../main/models/fingerprint'
import { openCheckpoint, type TensorEntry } from '../../../main/models/formats/checkpoint'
import { decodeFloat32 } from '../../../main/models/formats/decode'
import { FiniteScan, nonFiniteWarning, type NonFiniteTensor } from '../../../main/models/formats/finite'
import { encodeSafetensors } from '../../../main/models/formats/safetensors'
import { ggufBlocks, plainBytes, unitOf, type StorageType } from '../../../main/models/formats/storage'
import { useScratch } from '../scratch'

const scratch = useScratch()
const types = [...Object.keys(plainBytes), ...Object.keys(ggufBlocks)] as StorageType[]

const entryOf = (name: string, storage: StorageType, units: number, offset: number): TensorEntry => ({
  name,
  storage,
  shape: [units * unitOf(storage).elements],
  file: '/model',
  offset,
  byteLength: units * unitOf(storage).bytes,
})

/** What decoding the whole tensor finds. */
function decoded(entry: TensorEntry, file: Uint8Array): NonFiniteTensor[] {
  const values = new Float32Array(entry.shape[0])
  decodeFloat32(entry.storage, file.slice(entry.offset, entry.offset + entry.byteLength), values)
  const at = [...values.keys()].filter((i) => !Number.isFinite(values[i]))
  return at.length === 0 ? [] : [{ name: entry.name, count: at.length, first: at[0] }]
}

describe.each(types)('the scan for weights that are no numbers, in %s', (storage) => {
  it('finds what decoding finds, however the file is cut into pieces', () => {
    const byte = fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 255 }) },
      {
        weight: 2,
        arbitrary: fc.constantFrom(0x7c, 0x7f, 0x80, 0xf0, 0xfc, 0xff),
      },
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: unitOf(storage).bytes < 100 ? 4 : 2 }),
        fc.array(byte, { minLength: 1000, maxLength: 1000 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 0, max: 9 }),
        (units, bytes, cuts, gap) => {
          const first = entryOf('first', storage, units, gap)
          const second = entryOf('second', storage, units, gap + first.byteLength + gap)
          const file = Uint8Array.from(bytes).slice(0, second.offset + second.byteLength + gap)
          const scan = new FiniteScan([second, first])
          for (let at = 0, i = 0; at < file.length; i++) {
            const end = Math.min(file.length, at + cuts[i % cuts.length])
            // Whoever reads uses the same memory again.
            const piece = Buffer.from(file.subarray(at, end))
            scan.feed(piece)
            piece.fill(0xff)
            at = end
          }
          if (/^([IU]\d+|BOOL)$/.test(storage)) expect(scan.found).toEqual([])
          else expect(scan.found).toEqual([...decoded(first, file), ...decoded(second, file)])
        },
      ),
      { numRuns: 25 },
    )
  })
})

describe('weights that are no numbers', () => {
  const bytes = encodeSafetensors([
    { name: 'good', shape: [3], data: Float32Array.of(1, -2, 3e38) },
    { name: 'bad', shape: [2, 2], data: Float32Array.of(1, NaN, 2, -Infinity) },
  ])

  it('are found while the file is hashed, remembered with the digest, and looked for anew where nobody looked', async () => {
    const file = await scratch.write('model.safetensors', bytes)
    const cacheFile = path.join(scratch.folder, 'digests.json')
    const checkpoint = await openCheckpoint(file)
    const look = async (): Promise<NonFiniteTensor[]> => {
      const found: NonFiniteTensor[] = []
      await fingerprint(checkpoint, { cacheFile, onNonFinite: (some) => found.push(...some) })
      return found
    }
    const want = [{ name: 'bad', count: 2, first: 1 }]
    const print = await fingerprint(checkpoint, { cacheFile })
    expect(JSON.parse(await readFile(cacheFile, 'utf8'))).not.toHaveProperty('entries.0.nonFinite')
    expect(await look()).toEqual(want)
    expect(JSON.parse(await readFile(cacheFile, 'utf8'))).toHaveProperty('entries.0.nonFinite', want)
    expect(await look()).toEqual(want)
    expect(await fingerprint(checkpoint, { cacheFile })).toBe(print)
    await checkpoint.close()
  })

  it('are named in one sentence, however many there are', () => {
    const found = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, count: 2, first: 7 }))
    expect(nonFiniteWarning(found.slice(0, 1))).toContain('in a (2, the first at index 7):')
    expect(nonFiniteWarning(found)).toContain('c (2, the first at index 7) and 2 more')
  })

  it('are passed over where tensors overlap, in what overlaps', () => {
    const nan = new Uint8Array(8).fill(0xff)
    const scan = new FiniteScan([entryOf('a', 'F32', 2, 0), entryOf('b', 'F32', 1, 4)])
    scan.feed(nan)
    expect(scan.found).toEqual([{ name: 'a', count: 2, first: 0 }])
  })
})
