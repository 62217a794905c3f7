import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { onlyFeature } from '../../../main/collections/search/feature'
import { search } from '../../../main/collections/search/search'
import {
  activationKinds,
  weightShapes,
  type DictionaryConfig,
} from '../../../main/training/dictionary/config'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import { saveSaelensFolder } from '../../../main/training/dictionary/saelens-folder'
import { searchResult, type SearchTarget } from '../../../preload/collections'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { llama, numbers, place, scratch } from '../fixture'
import {
  type Scored,
  brute,
  distinct,
  dot,
  expectSame,
  mean,
  options,
  preset,
  presets,
  resid,
  rows,
  run,
  textAround,
  top,
  use,
  valueOf,
  width,
  z,
} from './every-number'

describe('a search, beside looking at every number', () => {
  it('of a unit', async () => {
    await use(async (collection) => {
      const found = await run(collection, resid, { kind: 'unit', unit: 4 })
      expect(found.what).toBe(`d_model 4 at ${resid}`)
      expect(searchResult.parse(found)).toEqual(found)
      expectSame(
        found,
        brute(resid, (x) => x[4]),
      )
    })
  })

  it('of a unit of a head, and of a head', async () => {
    await use(async (collection) => {
      expectSame(
        await run(collection, z, { kind: 'unit', unit: 2, head: 1 }),
        brute(z, (x) => x[5]),
      )
      const found = await run(collection, z, { kind: 'head', head: 1 })
      expect(found.what).toBe(`norm of head 1 at ${z}`)
      expectSame(
        found,
        brute(z, (x) => Math.hypot(...x.slice(3))),
      )
    })
  })

  it('of a direction and of a preset’s vector', async () => {
    await use(async (collection) => {
      const direction = { shape: [2, 3], data: numbers(5, 6) }
      const found = await run(collection, z, { kind: 'direction', direction })
      expectSame(
        found,
        brute(z, (x) => dot(x, direction.data)),
      )
      const other = await run(collection, resid, { kind: 'preset', id: 'p' })
      expect(other.what).toContain('"preset p"')
      expectSame(
        other,
        brute(resid, (x) => dot(x, preset.data)),
      )
    })
  })

  it('of a unit among the largest that were kept: 0 where it is not', async () => {
    await use(async (collection) => {
      for (const output of [top.values, top.indices]) {
        const found = await run(collection, output, { kind: 'unit', unit: 7 })
        const all = rows.flatMap(({ tokens }, row) => {
          const [values, indices] = [valueOf(row, top.values)?.data, valueOf(row, top.indices)?.data]
          if (values === undefined || indices === undefined) return []
          return tokens.map((_, position) => {
            const i = [2 * position, 2 * position + 1].find((at) => indices[at] === 7)
            return { row, position, value: i === undefined ? 0 : values[i] }
          })
        })
        expectSame(found, all)
      }
    })
  })

  it('at most one of each row', async () => {
    await use(async (collection) => {
      const found = await run(
        collection,
        resid,
        { kind: 'unit', unit: 0 },
        { distinctRows: true, count: 200 },
      )
      const all = brute(resid, (x) => x[0]).sort(
        (p, q) => q.value - p.value || p.row - q.row || p.position - q.position,
      )
      const taken = new Set<number>()
      const best = distinct(all.filter(({ row }) => !taken.has(row) && taken.add(row)))
      expect(found.top.map(({ row, position }) => [row, position])).toEqual(
        best.map(({ row, position }) => [row, position]),
      )
      expect(new Set(found.top.map(({ row }) => row)).size).toBe(found.top.length)
    })
  })

  it('shows a text once, and counts the rows that have it', async () => {
    await use(async (collection) => {
      const found = await run(
        collection,
        resid,
        { kind: 'unit', unit: 3 },
        { count: 200, window: [1, 0], perQuantile: 50 },
      )
      const all = brute(resid, (x) => x[3])
      expect(found.top.length).toBe(distinct(all, [1, 0]).length)
      expect(found.top.length).toBeLessThan(all.length)
      const lists = [found.top, found.bottom, ...found.quantiles.map(({ contexts }) => contexts)]
      for (const contexts of lists) {
        expect(new Set(contexts.map((each) => textAround(each, 1, 0))).size).toBe(contexts.length)
        for (const context of contexts) {
          const having = all.filter((each) => textAround(each, 1, 0) === textAround(context, 1, 0))
          expect(context.inRows).toBe(new Set(having.map(({ row }) => row)).size)
        }
      }
      expect(found.top.some(({ inRows }) => inRows > 1)).toBe(true)
    })
  })

  it('in some rows only, of what was reduced to one vector a row', async () => {
    await use(async (collection) => {
      const chosen = Int32Array.of(2, 3, 20)
      const target = { kind: 'unit', unit: 1 } as const
      const found = await search(collection, { ...options, output: mean, target }, chosen, presets)
      expect(found.top.map(({ row }) => row).sort((a, b) => a - b)).toEqual([2, 3, 20])
      for (const { row, value, position } of found.top) {
        expect(value).toBe(numbers(row, width)[1])
        expect(position).toBe(rows[row].tokens.length - 1)
      }
    })
  })
})

describe('what a search shows', () => {
  it('is the tokens around a position with their values', async () => {
    await use(async (collection) => {
      const found = await run(
        collection,
        resid,
        { kind: 'unit', unit: 4 },
        { count: 200, distinctRows: true },
      )
      const context = found.top.find(({ row }) => row === 6)
      if (context === undefined) return expect.unreachable()
      const { position, start, tokens, values } = context
      expect(start).toBe(Math.max(0, position - 2))
      expect(tokens.map(({ id }) => id)).toEqual(rows[6].tokens.slice(start, position + 2))
      tokens.forEach((_, i) => expect(values[i]).toBe(numbers(6, 42)[(start + i) * width + 4]))
      expect(values[position - start]).toBe(context.value)
    })
  })

  it('has samples of every interval between quantiles, the same for the same seed', async () => {
    await use(async (collection) => {
      const target = { kind: 'unit', unit: 4 } as const
      const found = await run(collection, resid, target)
      expect(found.quantiles.length).toBeGreaterThan(4)
      found.quantiles.forEach(({ from, to, contexts }, i) => {
        expect(contexts.length).toBeGreaterThan(0)
        const last = i === found.quantiles.length - 1
        for (const { value } of contexts) {
          expect(value).toBeGreaterThanOrEqual(from)
          if (last) expect(value).toBeLessThanOrEqual(to)
          else expect(value).toBeLessThan(to)
        }
      })
      expect(await run(collection, resid, target)).toEqual(found)
      expect((await run(collection, resid, target, { seed: 9 })).quantiles).not.toEqual(found.quantiles)
    })
  })

  it('says what the output has not', async () => {
    await use(async (collection) => {
      const fails = async (output: string, target: SearchTarget, message: string) =>
        expect(run(collection, output, target)).rejects.toThrow(message)
      await fails(resid, { kind: 'unit', unit: 6 }, 'no 6 among 6 on the axis d_model')
      await fails(z, { kind: 'unit', unit: 0 }, 'has heads, and none is named')
      await fails(z, { kind: 'head', head: 2 }, 'no 2 among 2 on the axis head')
      await fails(resid, { kind: 'head', head: 0 }, 'has no heads')
      await fails(
        resid,
        { kind: 'direction', direction: { shape: [5], data: numbers(1, 5) } },
        'has 5 numbers',
      )
      await fails('nothing', { kind: 'unit', unit: 0 }, 'no output "nothing"')
    })
  })

  it('comes from the model’s own values', async () => {
    const at = await place()
    const id = await llama(at, rows.slice(0, 9))
    await at.collections.use(id, async (collection) => {
      const found = await run(collection, resid, { kind: 'unit', unit: 3 }, { count: 1 })
      let highest = -Infinity
      for (let row = 0; row < 9; row++) {
        const values = await collection.read(row, resid)
        if (values === null) return expect.unreachable()
        const [length, size] = values.shape
        for (let i = 0; i < length; i++) highest = Math.max(highest, values.data[i * size + 3])
      }
      expect(found.top[0].value).toBe(highest)
    })
  })

  it('ends when it is cancelled, and tells how far it is', async () => {
    await use(async (collection) => {
      const target = { kind: 'unit', unit: 3 } as const
      const controller = new AbortController()
      const seen: number[] = []
      const searching = search(collection, { ...options, output: resid, target }, null, presets, {
        signal: controller.signal,
        onProgress: ({ done, total }) => {
          seen.push(done)
          expect(total).toBe(40)
          controller.abort()
        },
      })
      await expect(searching).rejects.toMatchObject({ code: 'run.cancelled' })
      expect(seen).toEqual([16])
    })
  })
})

describe('a feature of a dictionary', () => {
  const dictionaryOf = (
    activation: DictionaryConfig['activation'],
    normalise: DictionaryConfig['normalise'],
  ) => {
    const config: DictionaryConfig = {
      activation,
      dIn: width,
      dOut: width,
      dSae: 9,
      subtractDecoderBias: true,
      normalise,
      k: activation === 'topk' ? 3 : null,
      rescaleByDecoderNorm: false,
      transcoder: false,
      skip: false,
      hook: resid,
      outputHook: null,
      joinsHeads: false,
      modelName: null,
      prependBos: null,
    }
    const weights = new Map<string, Tensor>(
      [...weightShapes(config)].map(([name, shape], i) => [
        name,
        { shape, data: numbers(i + 40, sizeOf(shape)) },
      ]),
    )
    return { config, weights }
  }

  it.each(activationKinds)('of a %s dictionary is what the whole dictionary gives', async (activation) => {
    const saved = dictionaryOf(activation, 'none')
    const folder = path.join(scratch(), 'dictionary')
    await saveSaelensFolder(folder, saved)
    const whole = await Dictionary.create(saved)
    await use(async (collection) => {
      const expected = Array.from({ length: 9 }, (): Scored[] => [])
      for (const [row, { tokens }] of rows.entries()) {
        const data = valueOf(row, resid)?.data
        if (data === undefined) continue
        const { features } = await whole.run({ shape: [tokens.length, width], data })
        features.data.forEach((value, i) => {
          expected[i % 9].push({ row, position: Math.floor(i / 9), value })
        })
      }
      const some = expected.flatMap((each, i) => (each.some(({ value }) => value > 0) ? [i] : []))
      expect(some.length).toBeGreaterThan(1)
      for (const feature of some.slice(-2)) {
        const found = await run(collection, resid, { kind: 'feature', folder, feature })
        expect(found.active).toBeGreaterThan(0)
        expectSame(found, expected[feature])
      }
      await expect(run(collection, resid, { kind: 'feature', folder, feature: 9 })).rejects.toThrow(
        'no feature 9',
      )
      await expect(run(collection, top.values, { kind: 'feature', folder, feature: 0 })).rejects.toThrow(
        'reads 6',
      )
    })
    await whole.release()
  })

  it('alone is its column of every weight', () => {
    const { config, weights } = onlyFeature(dictionaryOf('gated', 'layer-norm'), 5)
    expect([...weightShapes(config)].map(([name, shape]) => [name, shape])).toEqual(
      [...weights].map(([name, { shape }]) => [name, shape]),
    )
    expect(weights.get('W_enc')?.data[2]).toBe(numbers(40, 54)[2 * 9 + 5])
    expect(weights.get('r_mag')?.data[0]).toBe(dictionaryOf('gated', 'none').weights.get('r_mag')?.data[5])
  })
})
