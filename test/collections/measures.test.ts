import { describe, expect, it } from 'vitest'
import { cosines, neighbours, norms } from '../../main/collections/measures'
import { outliers } from '../../main/collections/outliers'
import { rowTokens } from '../../main/collections/tokens'
import { VectorSource } from '../../main/collections/vectors'
import { scatter } from '../../main/collections/maps/scatter'
import { filled, newOutput, numbers, place, shared } from './fixture'

const resid = ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post']
const z = 'blocks.0.attn.hook_z'
const mean = `${resid[0]}[all]{mean}`
const width = 6
const rows = Array.from({ length: 23 }, (_, i) => ({
  tokens: Array.from({ length: 2 + (i % 4) }, (__, j) => 1 + i + j),
  label: i % 2 === 0 ? 'a' : 'b',
}))
const outputs = [
  newOutput(resid[0], [null, width]),
  newOutput(resid[1], [null, width]),
  newOutput(z, [null, 2, 3]),
  newOutput(resid[0], [width], { reduction: { kind: 'mean' }, dims: ['d_model'] }),
]
const seed = (row: number, output: string) => row * 10 + [...resid, z, mean].indexOf(output)
const lacks = (row: number, output: string) => row === 5 && output === resid[1]
const valueOf = (row: number, output: string) => {
  if (lacks(row, output)) return null
  const length = rows[row].tokens.length
  const shape = output === mean ? [width] : output === z ? [length, 2, 3] : [length, width]
  return { shape, data: numbers(seed(row, output), output === mean ? width : length * width) }
}
/** The vector of a row as it was put. */
const vector = (row: number, output: string, position = -1): number[] => {
  const data = Array.from(valueOf(row, output)?.data ?? [])
  return position === -1 ? data.slice(-width) : data.slice(position * width, (position + 1) * width)
}
const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0)
const norm = (a: number[]) => Math.sqrt(dot(a, a))

const { use } = shared((at) => filled(at, outputs, rows, valueOf))

describe('vectors of rows', () => {
  it('are of a position from either end, or the mean, and the same when read again from the store', async () => {
    await use(async (collection) => {
      const all = async (position: number | 'mean', keptBytes?: number) => {
        const source = new VectorSource(collection, { output: resid[0], position }, null, keptBytes)
        const found = new Map<number, number[]>()
        for (let pass = 0; pass < 2; pass++)
          for await (const { rows: of, data } of source.slices())
            of.forEach((row, i) => found.set(row, Array.from(data.subarray(i * width, (i + 1) * width))))
        return found
      }
      expect((await all(-1)).get(7)).toEqual(vector(7, resid[0]))
      expect(await all(-1, 0)).toEqual(await all(-1))
      const third = await all(2)
      expect(third.get(3)).toEqual(vector(3, resid[0], 2))
      expect([...third.keys()]).toEqual(rows.flatMap(({ tokens }, i) => (tokens.length > 2 ? [i] : [])))
      const means = await all('mean')
      const expected = [0, 1, 2].map((p) => vector(1, resid[0], p))
      means
        .get(1)
        ?.forEach((x, i) => expect(x).toBeCloseTo((expected[0][i] + expected[1][i] + expected[2][i]) / 3, 6))
    })
  })

  it('need a fixed width', async () => {
    const at = await place()
    const pattern = newOutput('blocks.0.attn.hook_pattern', [2, null, null])
    const id = await filled(at, [pattern], [{ tokens: [1, 2] }], () => ({
      shape: [2, 2, 2],
      data: numbers(1, 8),
    }))
    await at.collections.use(id, (collection) => {
      expect(() => new VectorSource(collection, { output: pattern.hook, position: -1 }, null)).toThrow(
        'no fixed number of values',
      )
      return Promise.resolve()
    })
  })
})

describe('measures of a collection', () => {
  it('gives norms by row and output, none where there are no values', async () => {
    await use(async (collection) => {
      const chosen = Int32Array.of(2, 5, 9)
      const found = await norms(collection, { outputs: [resid[1], z, mean], position: -1 }, chosen)
      expect(found.rows).toEqual(chosen)
      expect(found.norms.shape).toEqual([3, 3])
      expect(found.norms.data[0]).toBeCloseTo(norm(vector(2, resid[1])), 6)
      expect(found.norms.data[1]).toBeCloseTo(norm(vector(2, z)), 6)
      expect(found.norms.data[2]).toBeCloseTo(norm(vector(2, mean)), 6)
      expect(found.norms.data[3]).toBeNaN()
    })
  })

  it.each(['cosine', 'euclidean', 'dot'] as const)(
    'finds the same neighbours by %s as comparing all',
    async (metric) => {
      await use(async (collection) => {
        const target = vector(4, z)
        const expected = rows
          .map((_, row) => {
            const other = vector(row, z)
            const value =
              metric === 'dot'
                ? dot(target, other)
                : metric === 'cosine'
                  ? dot(target, other) / norm(target) / norm(other)
                  : norm(target.map((x, i) => x - other[i]))
            return { row, value }
          })
          .filter(({ row }) => row !== 4)
          .sort((a, b) => (metric === 'euclidean' ? a.value - b.value : b.value - a.value))
          .slice(0, 6)
        const found = await neighbours(
          collection,
          { output: z, position: -1, row: 4, metric, count: 6 },
          null,
        )
        expect(Array.from(found.rows)).toEqual(expected.map(({ row }) => row))
        expected.forEach(({ value }, i) => expect(found.values[i]).toBeCloseTo(value, 5))
      })
    },
  )

  it('says that a row has no vector to compare', async () => {
    await use(async (collection) => {
      const choice = { output: resid[1], position: -1, metric: 'dot', count: 3 } as const
      await expect(neighbours(collection, { ...choice, row: 5 }, null)).rejects.toThrow(
        'Row 5 has no vector there',
      )
      await expect(neighbours(collection, { ...choice, row: 99 }, null)).rejects.toThrow('no row 99')
    })
  })

  it('gives mean cosines between outputs over the rows that have both', async () => {
    await use(async (collection) => {
      const found = await cosines(collection, { outputs: [resid[0], resid[1], z], position: 0 }, null)
      const expected = rows.flatMap((_, row) => {
        if (lacks(row, resid[1])) return []
        const [a, b] = [vector(row, resid[0], 0), vector(row, resid[1], 0)]
        return [dot(a, b) / norm(a) / norm(b)]
      })
      expect(found.shape).toEqual([3, 3])
      expect(found.data[1]).toBeCloseTo(expected.reduce((a, b) => a + b) / 22, 6)
      expect(found.data[3]).toBe(found.data[1])
      expect(found.data[8]).toBeCloseTo(1, 6)
    })
  })

  it('ranks dimensions by their largest value, and says where it is', async () => {
    await use(async (collection) => {
      const found = await outliers(collection, z, 3, null)
      const all = rows.flatMap(({ tokens }, row) =>
        tokens.flatMap((_, position) => vector(row, z, position).map((x, d) => ({ x, d, row, position }))),
      )
      const [best] = [...all].sort((a, b) => Math.abs(b.x) - Math.abs(a.x))
      expect(found).toMatchObject({ width: 6, positions: all.length / 6 })
      expect(found.dimensions.length).toBe(3)
      const [first] = found.dimensions
      expect(first).toMatchObject({
        dimension: best.d,
        largest: best.x,
        row: best.row,
        position: best.position,
      })
      const own = all.filter(({ d }) => d === best.d).map(({ x }) => x)
      const average = own.reduce((a, b) => a + b) / own.length
      expect(first.mean).toBeCloseTo(average, 6)
      expect(first.standardDeviation).toBeCloseTo(
        Math.sqrt(own.reduce((sum, x) => sum + (x - average) ** 2, 0) / own.length),
        6,
      )
      expect(first.share).toBeCloseTo(dot(own, own) / all.reduce((sum, { x }) => sum + x * x, 0), 6)
    })
  })

  it('shows a row token by token', async () => {
    await use(async (collection) => {
      const found = await rowTokens(collection, 3, z)
      expect(found.tokens.map(({ id }) => id)).toEqual(rows[3].tokens)
      expect(found.values?.shape).toEqual([5, 2, 3])
      expect(Array.from(found.positions)).toEqual([0, 1, 2, 3, 4])
      found.norms.forEach((x, p) => expect(x).toBeCloseTo(norm(vector(3, z, p)), 6))
      expect((await rowTokens(collection, 3, mean)).norms.length).toBe(1)
      await expect(rowTokens(collection, 5, resid[1])).rejects.toThrow('Row 5 has no values')
    })
  })

  it('ends when it is cancelled', async () => {
    await use(async (collection) => {
      const signal = AbortSignal.abort()
      await expect(outliers(collection, z, 3, null, { signal })).rejects.toThrow('Cancelled')
    })
  })
})

describe('a map of rows', () => {
  const options = { output: resid[1], position: -1, neighbours: 5, minDistance: 0.1, seed: 3 } as const

  it('is two principal components with their share, and says which rows are not on it', async () => {
    await use(async (collection) => {
      const found = await scatter(collection, { ...options, method: 'pca' }, null)
      expect(found.points.shape).toEqual([22, 2])
      expect(found.rows).not.toContain(5)
      expect(found.notes).toEqual(['1 of 23 rows have no vector there and are left out.'])
      expect(found.explained.length).toBe(2)
      expect(found.explained[0]).toBeGreaterThan(found.explained[1])
      expect(found.explained[0] + found.explained[1]).toBeLessThan(1)
    })
  })

  it('is by UMAP the same for the same seed, keeps groups together, and can be cancelled', async () => {
    const at = await place()
    const two = Array.from({ length: 60 }, (_, i) => ({ tokens: [1 + i] }))
    const id = await filled(at, [newOutput(resid[1], [null, width])], two, (row) => ({
      shape: [1, width],
      data: numbers(row, width).map((x) => x + (row % 2 === 0 ? 20 : -20)),
    }))
    await at.collections.use(id, async (collection) => {
      const progress: number[] = []
      const umap = { ...options, method: 'umap' } as const
      const found = await scatter(collection, umap, null, { onProgress: ({ done }) => progress.push(done) })
      expect(found.points.shape).toEqual([60, 2])
      const distance = (a: number, b: number) =>
        Math.hypot(
          found.points.data[2 * a] - found.points.data[2 * b],
          found.points.data[2 * a + 1] - found.points.data[2 * b + 1],
        )
      // Of each row's nearest on the map all are of its own group.
      for (let row = 0; row < 60; row++) {
        const others = two.map((_, other) => other).filter((other) => other !== row)
        const nearest = others.sort((a, b) => distance(row, a) - distance(row, b)).slice(0, 5)
        expect(nearest.every((other) => other % 2 === row % 2)).toBe(true)
      }
      expect(progress.length).toBeGreaterThan(10)
      expect(progress).toEqual([...progress].sort((a, b) => a - b))
      expect(await scatter(collection, umap, null)).toEqual(found)
      const controller = new AbortController()
      const cancelled = scatter(collection, umap, null, {
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done > 60) controller.abort()
        },
      })
      await expect(cancelled).rejects.toMatchObject({ code: 'run.cancelled' })
    })
  })
})
