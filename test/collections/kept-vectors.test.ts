/** Vectors that are kept for the next who asks: the same numbers, of any rows, without reading. */
import { expect, it, vi } from 'vitest'
import type { OpenCollection } from '../../main/collections/collection'
import { neighbours } from '../../main/collections/measures'
import { VectorSource } from '../../main/collections/vectors'
import { filled, newOutput, numbers, shared } from './fixture'

const name = 'blocks.0.hook_resid_post'
const other = 'blocks.1.hook_resid_post'
const rows = Array.from({ length: 6 }, (_, i) => ({ tokens: [1, 2 + i] }))
const { use } = shared((at) =>
  filled(at, [newOutput(name, [null, 4]), newOutput(other, [null, 4])], rows, (row, output) =>
    // One row of the second output has no values.
    output === other && row === 3
      ? null
      : { shape: [2, 4], data: numbers(row + (output === other ? 0.5 : 0), 8) },
  ),
)

async function vectorsOf(
  collection: OpenCollection,
  output: string,
  position: number,
  of: Int32Array | null,
) {
  const found: [number, number[]][] = []
  for await (const slice of new VectorSource(collection, { output, position }, of, 0).slices())
    slice.rows.forEach((row, i) => found.push([row, Array.from(slice.data.subarray(4 * i, 4 * i + 4))]))
  return found
}

it('reads the vectors of all rows once, and gives those of some rows out of them', async () => {
  await use(async (collection) => {
    const some = Int32Array.of(1, 4, 5)
    const all = await vectorsOf(collection, name, -1, null)
    const few = await vectorsOf(collection, name, -1, some)
    const ask = (row: number) =>
      neighbours(collection, { output: name, position: -1, row, metric: 'cosine', count: 3 }, null)
    const first = await ask(2)
    const read = vi.spyOn(collection, 'valuesOf')
    expect(await ask(2)).toEqual(first)
    expect(await vectorsOf(collection, name, -1, null)).toEqual(all)
    expect(await vectorsOf(collection, name, -1, some)).toEqual(few)
    // Only the row itself is looked at.
    expect(read.mock.calls.length).toBeLessThanOrEqual(1)
    await vectorsOf(collection, name, 0, null)
    expect(read.mock.calls.length).toBeGreaterThanOrEqual(rows.length)
    read.mockRestore()
    expect(all.map(([row]) => row)).toEqual([0, 1, 2, 3, 4, 5])
    expect(all[4][1]).toEqual(Array.from(numbers(4, 8)).slice(4))
  })
})

it('keeps nothing where a row has no values, which may come', async () => {
  await use(async (collection) => {
    const ask = () =>
      neighbours(collection, { output: other, position: -1, row: 0, metric: 'dot', count: 3 }, null)
    await ask()
    const read = vi.spyOn(collection, 'valuesOf')
    await ask()
    expect(read.mock.calls.length).toBeGreaterThanOrEqual(rows.length)
    read.mockRestore()
  })
})
