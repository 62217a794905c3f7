/** Rows are encoded many at a time: order, failures and cancelling are as if it were one after the other. */
import { setTimeout as later } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { prepareRows, type Prepared, type RowEncoder } from '../../main/datasets'
import { batchByBatch, inBatches } from '../../main/datasets/prepare/batches'
import { datasetSpec } from '../../preload/datasets'
import { PatchbayError } from '../../preload/errors'
import { usePreparing } from './preparing'
import { all } from './support'

const preparing = usePreparing()

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) yield await Promise.resolve(i)
}

describe('batches', () => {
  it('have all items in order, so many or so heavy at most', async () => {
    expect(await all(inBatches(numbers(7), { most: 3 }))).toEqual([[0, 1, 2], [3, 4, 5], [6]])
    const heavy = { most: 10, weight: 5, weigh: (n: number) => n }
    expect(await all(inBatches(numbers(7), heavy))).toEqual([[0, 1, 2, 3], [4, 5], [6]])
    expect(await all(inBatches(numbers(0), { most: 3 }))).toEqual([])
  })

  it('give results in order, whichever is ready first', async () => {
    const slowFirst = async (n: number): Promise<number> => {
      await later(n % 4 === 0 ? 5 : 0)
      return n * n
    }
    const results = await all(batchByBatch(inBatches(numbers(10), { most: 4 }), slowFirst))
    expect(results).toEqual(Array.from({ length: 10 }, (_, n) => n * n))
  })

  it('throw what the work throws, behind the results before it', async () => {
    const taken: number[] = []
    const work = (n: number): Promise<number> =>
      n >= 5 ? Promise.reject(new Error(`no ${n}`)) : Promise.resolve(n)
    const taking = async (): Promise<void> => {
      for await (const n of batchByBatch(inBatches(numbers(12), { most: 4 }), work)) taken.push(n)
    }
    await expect(taking()).rejects.toThrow('no 5')
    expect(taken).toEqual([0, 1, 2, 3, 4])
  })
})

describe('rows of several batches', () => {
  const count = 700
  const rows = Array.from({ length: count }, (_, i) => ({
    // Every seventh is empty, and every eleventh has the text of the row before it.
    text: i % 7 === 3 ? '' : `The cat number ${i % 11 === 5 ? i - 1 : i}`,
  }))
  const spec = datasetSpec.parse({
    source: { kind: 'rows', rows },
    prompt: { kind: 'column', column: 'text' },
    deduplicate: true,
  })

  it('are what each is alone, with failures and duplicates in their places', async () => {
    const found = await all(prepareRows(spec, preparing.encoder))
    expect(found).toHaveLength(count)
    const first = new Map<string, number>()
    for (const [i, { text }] of rows.entries()) {
      const [item] = found.slice(i, i + 1)
      const of = first.get(text)
      if (text === '')
        expect(item).toMatchObject({ kind: 'failure', failure: { row: i, error: { code: 'prompt.empty' } } })
      else if (of !== undefined) expect(item).toEqual({ kind: 'duplicate', row: i, of })
      else {
        const { tokens } = await preparing.tokenizer.encodePrompt({ kind: 'text', text, bos: 'model' })
        expect(item).toMatchObject({ kind: 'row', row: { row: i, text, tokens } })
        first.set(text, i)
      }
    }
  })

  it('are asked of the tokenizer many at a time', async () => {
    let under = 0
    let most = 0
    const { encoder } = preparing
    const counting: RowEncoder = {
      ...encoder,
      tokenise: async (...args) => {
        most = Math.max(most, ++under)
        return encoder.tokenise(...args).finally(() => under--)
      },
    }
    await all(prepareRows({ ...spec, deduplicate: false }, counting))
    expect(most).toBeGreaterThan(100)
  })

  it('end at a model that went away, behind the rows before it', async () => {
    const { encoder } = preparing
    const closed = new PatchbayError('model.not-open', 'The tokenizer is closed.')
    let asked = 0
    const ending: RowEncoder = {
      ...encoder,
      tokenise: (...args) => (++asked > 10 ? Promise.reject(closed) : encoder.tokenise(...args)),
    }
    const found: Prepared[] = []
    const reading = async (): Promise<void> => {
      for await (const item of prepareRows(spec, ending)) found.push(item)
    }
    await expect(reading()).rejects.toBe(closed)
    expect(found.filter(({ kind }) => kind !== 'failure')).toHaveLength(10)
  })

  it('are cancelled while a batch is encoded, without a warning of too many listeners', async () => {
    const controller = new AbortController()
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    try {
      const { encoder } = preparing
      let asked = 0
      const cancelling: RowEncoder = {
        ...encoder,
        tokenise: (...args) => {
          if (++asked === 200) controller.abort()
          return encoder.tokenise(...args)
        },
      }
      const reading = all(prepareRows(spec, cancelling, { signal: controller.signal }))
      await expect(reading).rejects.toMatchObject({ code: 'run.cancelled' })
      await later(0) // warnings come in a turn of their own
      expect(warnings).toEqual([])
    } finally {
      process.off('warning', note)
    }
  })
})
