/** Many entries are looked up together: each once, in the index's order, with the answers where they were asked for. */
import { describe, expect, it } from 'vitest'
import { entryKey, entryName, type EntryId } from '../../main/cache/store/entry'
import { findAll, haveAll } from '../../main/collections/look-up'
import { PatchbayError } from '../../preload/errors'
import { place } from './fixture'

const idOf = (i: number): EntryId => ({
  row: (i % 500).toString(16).padStart(64, '0'),
  output: `blocks.${Math.floor(i / 500)}.hook_resid_post`,
  dtype: 'float16',
})
const nameOf = (id: EntryId): string => entryName(id)

describe('looking up many entries', () => {
  // More than fit into one turn, in no order, some of them twice.
  const ids = Array.from({ length: 9000 }, (_, i) => idOf((i * 7919) % 8000))

  it('asks for each once, in the order of the index, and answers each', async () => {
    const asked: string[] = []
    const found = await haveAll(
      {
        has: (some) => {
          asked.push(...some.map(nameOf))
          return Promise.resolve(some.map(({ row }) => /[02468ace]$/.test(row)))
        },
      },
      ids,
    )
    expect(found).toEqual(ids.map(({ row }) => /[02468ace]$/.test(row)))
    const keys = asked.map(entryKey)
    expect(keys).toHaveLength(new Set(ids.map(nameOf)).size)
    expect(keys).toEqual(keys.toSorted())
  })

  it('is cancelled between turns', async () => {
    const controller = new AbortController()
    let turns = 0
    const store = {
      has: (some: readonly EntryId[]) => {
        turns++
        controller.abort(new PatchbayError('run.cancelled', 'The job was cancelled.'))
        return Promise.resolve(some.map(() => false))
      },
    }
    await expect(haveAll(store, ids, controller.signal)).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(turns).toBe(1)
  })

  it('finds in a store what finding one by one finds', async () => {
    const { store } = await place()
    const some = ids.slice(0, 40)
    const request = {
      version: 1 as const,
      model: '0'.repeat(64),
      precision: 'float32' as const,
      provider: 'cpu' as const,
      tokens: [1],
      interventions: [],
    }
    const items = some
      .filter((_, i) => i % 3 > 0)
      .map((id, i) => ({ ...id, request, shape: [2], data: Float32Array.of(i, 1 / 3) }))
    await store.put(items, { set: 'some' })
    const found = await findAll(store, some)
    expect(found).toEqual(await Promise.all(some.map((id) => store.find(id))))
    expect(found.filter((located) => located !== null)).toHaveLength(items.length)
    expect(await haveAll(store, some)).toEqual(found.map((located) => located !== null))
  })
})
