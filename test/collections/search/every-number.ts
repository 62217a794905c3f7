/** The collection that searches are tried on, and what they have to find in it by looking at every number. */
import { expect } from 'vitest'
import type { OpenCollection } from '../../../main/collections/collection'
import { search, type SearchOptions } from '../../../main/collections/search/search'
import type { SearchResult, SearchTarget } from '../../../preload/collections'
import { sizeOf } from '../../../preload/tensor'
import { filled, newOutput, numbers, shared } from '../fixture'

export const resid = 'blocks.0.hook_resid_post'
export const z = 'blocks.0.attn.hook_z'
export const mean = `${resid}[all]{mean}`
export const top = { values: `${resid}[all]{top 2 values}`, indices: `${resid}[all]{top 2 indices}` }
export const width = 6
export const rows = Array.from({ length: 40 }, (_, i) => ({
  tokens: Array.from({ length: 1 + (i % 7) }, (__, j) => 1 + ((i * 3 + j) % 11)),
  label: i % 5 === 0 ? null : i % 2 === 0 ? 'a' : 'b',
}))
export const lacking = 13
export const shapeOf = (row: number, output: string): number[] => {
  const length = rows[row].tokens.length
  if (output === mean) return [width]
  return output === z ? [length, 2, 3] : [length, output === resid ? width : 2]
}
export const valueOf = (row: number, output: string) => {
  if (row === lacking) return null
  const shape = shapeOf(row, output)
  if (output === top.indices)
    return { shape, data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => (row + 3 * i) % 9) }
  return { shape, data: numbers(row + (output === z ? 0.5 : 0), sizeOf(shape)) }
}
export const topK = { reduction: { kind: 'top', k: 2 } as const, dims: ['pos', 'k'] }
export const outputs = [
  newOutput(resid, [null, width]),
  newOutput(z, [null, 2, 3]),
  newOutput(resid, [width], { reduction: { kind: 'mean' }, dims: ['d_model'] }),
  newOutput(resid, [null, 2], { ...topK, part: 'values' }),
  newOutput(resid, [null, 2], { ...topK, part: 'indices' }),
]
export const options = {
  count: 5,
  perQuantile: 3,
  window: [2, 1] as const,
  distinctRows: false,
  seed: 1,
} satisfies Partial<SearchOptions>
export const preset = { shape: [width], data: numbers(77, width) }
export const presets = (id: string) =>
  Promise.resolve({ name: `preset ${id}`, sites: [{ hook: resid, vector: preset }] })

export const { use } = shared((at) => filled(at, outputs, rows, valueOf))
export const run = (
  collection: OpenCollection,
  output: string,
  target: SearchTarget,
  rest: Partial<SearchOptions> = {},
) => search(collection, { ...options, output, target, ...rest }, null, presets)

export interface Scored {
  row: number
  position: number
  value: number
}

/** All positions with what one of their vectors gives. */
export const brute = (output: string, of: (vector: number[]) => number): Scored[] =>
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
export const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0)

/** Positions, each text around them once, the first of them. */
export const distinct = (
  all: Scored[],
  [before, behind]: readonly [number, number] = options.window,
): Scored[] => {
  const texts = new Set<string>()
  return all.filter((each) => {
    const text = textAround(each, before, behind)
    return !texts.has(text) && texts.add(text)
  })
}
export const textAround = (
  { row, position }: Omit<Scored, 'value'>,
  before: number,
  behind: number,
): string => {
  const start = Math.max(0, position - before)
  return JSON.stringify([position - start, rows[row].tokens.slice(start, position + behind + 1)])
}

/** Compares everything that a search says with what all the numbers say. */
export function expectSame(found: SearchResult, all: Scored[]): void {
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
