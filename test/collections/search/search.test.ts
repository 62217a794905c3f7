import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { onlyFeature } from '../../../main/collections/search/feature'
import { search, type SearchOptions } from '../../../main/collections/search/search'
import type { OpenCollection } from '../../../main/collections/collection'
import {
  activationKinds,
  weightShapes,
  type DictionaryConfig,
} from '../../../main/training/dictionary/config'
import { Dictionary } from '../../../main/training/dictionary/dictionary'
import { saveSaelensFolder } from '../../../main/training/dictionary/saelens-folder'
import { searchResult, type SearchResult, type SearchTarget } from '../../../preload/collections'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { filled, llama, newOutput, numbers, place, scratch, shared } from '../fixture'

const resid = 'blocks.0.hook_resid_post'
const z = 'blocks.0.attn.hook_z'
const mean = `${resid}[all]{mean}`
const top = { values: `${resid}[all]{top 2 values}`, indices: `${resid}[all]{top 2 indices}` }
const width = 6
const rows = Array.from({ length: 40 }, (_, i) => ({
  tokens: Array.from({ length: 1 + (i % 7) }, (__, j) => 1 + ((i * 3 + j) % 11)),
  label: i % 5 === 0 ? null : i % 2 === 0 ? 'a' : 'b',
}))
const lacking = 13
const shapeOf = (row: number, output: string): number[] => {
  const length = rows[row].tokens.length
  if (output === mean) return [width]
  return output === z ? [length, 2, 3] : [length, output === resid ? width : 2]
}
const valueOf = (row: number, output: string) => {
  if (row === lacking) return null
  const shape = shapeOf(row, output)
  if (output === top.indices)
    return { shape, data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => (row + 3 * i) % 9) }
  return { shape, data: numbers(row + (output === z ? 0.5 : 0), sizeOf(shape)) }
}
const topK = { reduction: { kind: 'top', k: 2 } as const, dims: ['pos', 'k'] }
const outputs = [
  newOutput(resid, [null, width]),
  newOutput(z, [null, 2, 3]),
  newOutput(resid, [width], { reduction: { kind: 'mean' }, dims: ['d_model'] }),
  newOutput(resid, [null, 2], { ...topK, part: 'values' }),
  newOutput(resid, [null, 2], { ...topK, part: 'indices' }),
]
const options = {
  count: 5,
  perQuantile: 3,
  window: [2, 1] as const,
  distinctRows: false,
  seed: 1,
} satisfies Partial<SearchOptions>
const preset = { shape: [width], data: numbers(77, width) }
const presets = (id: string) =>
  Promise.resolve({ name: `preset ${id}`, sites: [{ hook: resid, vector: preset }] })

const { use } = shared((at) => filled(at, outputs, rows, valueOf))
const run = (
  collection: OpenCollection,
  output: string,
  target: SearchTarget,
  rest: Partial<SearchOptions> = {},
) => search(collection, { ...options, output, target, ...rest }, null, presets)

interface Scored {
  row: number
  position: number
  value: number
}

/** All positions with what one of their vectors gives. */
const brute = (output: string, of: (vector: number[]) => number): Scored[] =>
  rows.flatMap(({ tokens }, row) => {
    const data = valueOf(row, output)?.data
    if (data === undefined) return []
    const size = data.length / tokens.length
    return tokens.map((_, position) => ({
      row,
      position,
      value: Math.fround(of(Array.from(data.subarray(position * size, (position + 1) * size)))),
    }))
  })
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0)

/** Positions, each text around them once, the first of them. */
const distinct = (all: Scored[], [before, behind]: readonly [number, number] = options.window): Scored[] => {
  const texts = new Set<string>()
  return all.filter((each) => {
    const text = textAround(each, before, behind)
    return !texts.has(text) && texts.add(text)
  })
}
const textAround = ({ row, position }: Omit<Scored, 'value'>, before: number, behind: number): string => {
  const start = Math.max(0, position - before)
  return JSON.stringify([position - start, rows[row].tokens.slice(start, position + behind + 1)])
}

/** Compares everything that a search says with what all the numbers say. */
function expectSame(found: SearchResult, all: Scored[]): void {
  const high = [...all].sort((a, b) => b.value - a.value || a.row - b.row || a.position - b.position)
  const place = ({ row, position, value }: Scored) => ({ row, position, value: Number(value.toFixed(5)) })
  expect(found.top.map(place)).toEqual(distinct(high).slice(0, 5).map(place))
  const low = [...all].sort((a, b) => a.value - b.value || a.row - b.row || a.position - b.position)
  expect(found.bottom.map(place)).toEqual(distinct(low).slice(0, 5).map(place))
  const average = all.reduce((sum, { value }) => sum + value, 0) / all.length
  expect(found.positions).toBe(all.length)
  expect(found.rows).toBe(39)
  expect(found.mean).toBeCloseTo(average, 5)
  const variance = all.reduce((sum, { value }) => sum + (value - average) ** 2, 0) / all.length
  expect(found.standardDeviation).toBeCloseTo(Math.sqrt(variance), 5)
  expect(found.active).toBeCloseTo(all.filter(({ value }) => value > 0).length / all.length, 10)
  expect(found.histogram.counts.reduce((a, b) => a + b)).toBe(all.length)
  expect(found.histogram.edges[0]).toBeCloseTo(low[0].value, 5)
  const labels = new Map<string, number[]>()
  const tokens = new Map<number, number[]>()
  for (const { row, position, value } of all) {
    const { label, tokens: ids } = rows[row]
    if (label !== null) labels.set(label, [...(labels.get(label) ?? []), value])
    tokens.set(ids[position], [...(tokens.get(ids[position]) ?? []), value])
  }
  expect(found.byLabel.length).toBe(labels.size)
  for (const { label, mean: own, max, positions } of found.byLabel) {
    const values = labels.get(label) ?? []
    expect(positions).toBe(values.length)
    expect(own).toBeCloseTo(values.reduce((a, b) => a + b) / values.length, 5)
    expect(max).toBeCloseTo(Math.max(...values), 5)
  }
  expect(found.tokens.length).toBe(tokens.size)
  for (const { token, mean: own, count } of found.tokens) {
    const values = tokens.get(token.id) ?? []
    expect(count).toBe(values.length)
    expect(own).toBeCloseTo(values.reduce((a, b) => a + b) / values.length, 5)
  }
  const means = found.tokens.map((each) => each.mean)
  expect(means).toEqual([...means].sort((a, b) => b - a))
}

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
