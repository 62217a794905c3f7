import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { sliced, unpermuted, weight, type Weight } from '../../main/models/weights'
import { int64s } from '../../main/runtime/session'
import { rowReader, withTableRows } from '../../main/runtime/table-rows'
import { quantisedCheckpoint } from '../support/quantised-checkpoint'

let checkpoint: Checkpoint
let table: Weight
beforeAll(async () => {
  const gguf = path.join(import.meta.dirname, '../reference/cases/gguf/llama.gguf')
  checkpoint = await quantisedCheckpoint(await openCheckpoint(gguf), 'Q4_1')
  const entry = checkpoint.tensors.get('token_embd.weight')
  table = weight('token_embd.weight', ...(entry?.shape ?? []))
})
afterAll(() => checkpoint.close())

describe('rows of a quantised table', () => {
  it('are those of the whole table, in the order asked for, repeated ones too', async () => {
    const [count, width] = table.shape
    const whole = await checkpoint.readFloat32(table.tensor)
    const indices = [3, 0, count - 1, 3]
    const rows = await rowReader(checkpoint, table)?.(indices)
    expect(checkpoint.tensors.get(table.tensor)?.storage).toBe('Q4_1')
    expect(rows).toEqual(
      Float32Array.from(indices.flatMap((row) => [...whole.subarray(row * width, (row + 1) * width)])),
    )
  })

  it('are counted from where a part of the table starts', async () => {
    const [count, width] = table.shape
    const whole = await checkpoint.readFloat32(table.tensor)
    const rows = await rowReader(checkpoint, sliced(table, 0, 5, count))?.([2])
    expect(rows).toEqual(whole.slice(7 * width, 8 * width))
  })

  it('are not read so where the table is reordered', () => {
    expect(rowReader(checkpoint, unpermuted(table, 1))).toBeNull()
  })

  it('take the place of the tokens in what the graph is fed', async () => {
    const [, width] = table.shape
    const feeds = { tokens: int64s([1, 2, 3, 4], [2, 2]), positions: int64s([0, 1, 0, 1], [2, 2]) }
    const given = await withTableRows(feeds, rowReader(checkpoint, table))
    expect(Object.keys(given).sort()).toEqual(['positions', 'rows'])
    expect(given.rows.dims).toEqual([2, 2, width])
    expect(await withTableRows(feeds, null)).toEqual(feeds)
  })
})
