/** What a search looks for, as a function from a row's values to one number a position. */
import type { SearchTarget } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { Slice, StoredValues } from '../../cache/store/store'
import type { OpenCollection } from '../collection'
import { quoted } from '../../models/formats/malformed'
import { outputName } from '../names'
import type { StoredOutput, StoredRow } from '../schema'
import { positionAxis, widthOf } from '../vectors'
import { featureScorer } from './feature'

export interface Scorer {
  /** In words. */
  what: string
  /** Of a row's values that are needed. */
  slice: Slice
  /** One number for each of `count` positions. */
  score(values: StoredValues, count: number, row: StoredRow): Float32Array | Promise<Float32Array>
  release(): Promise<void>
}

/** A preset's vectors with their hook points. */
export type PresetVectors = (
  id: string,
) => Promise<{ name: string; sites: { hook: string; vector: Tensor }[] }>

const nothing = (): Promise<void> => Promise.resolve()

/**
 * @throws PatchbayError `input.invalid` for a target that the output has not, `hook.unavailable` for an output without a
 *   fixed width, and what opening a preset or a dictionary throws
 */
export async function scorerOf(
  collection: OpenCollection,
  output: string,
  target: SearchTarget,
  presets: PresetVectors,
): Promise<Scorer> {
  const asked = collection.output(output)
  const width = widthOf(asked)
  switch (target.kind) {
    case 'unit':
      return asked.part === undefined ? unitScorer(asked, target) : keptScorer(collection, asked, target.unit)
    case 'head':
      return headScorer(asked, target.head)
    case 'direction':
      return directionScorer(asked, width, target.direction, 'a direction')
    case 'preset': {
      const { name, sites } = await presets(target.id)
      const site =
        sites.find(({ hook }) => hook === asked.hook) ?? (sites.length === 1 ? sites[0] : undefined)
      if (site === undefined)
        throw invalid(`The preset ${quoted(name)} has no vector at ${asked.hook}`, 'target.id')
      return directionScorer(asked, width, site.vector, `the vector of ${quoted(name)}`)
    }
    case 'feature':
      return featureScorer(asked, width, target)
  }
}

/** Axes behind the positions. */
function innerAxes(output: StoredOutput): { dim: string; size: number }[] {
  const from = positionAxis(output) + 1
  return output.dims.slice(from).map((dim, i) => ({ dim, size: output.sizes[from + i] ?? 0 }))
}

/** The slice of one index on each of the last axes. */
const sliceOf = (output: StoredOutput, indices: readonly (readonly [number, number])[]): Slice => {
  const skipped = output.dims.length - indices.length
  return [...Array.from({ length: skipped }, () => null), ...indices]
}

function checkIndex(index: number, axis: { dim: string; size: number }, field: string): void {
  if (index < axis.size) return
  throw invalid(`There is no ${index} among ${axis.size} on the axis ${axis.dim}`, field)
}

function unitScorer(output: StoredOutput, { unit, head }: { unit: number; head?: number }): Scorer {
  const axes = innerAxes(output)
  const plain = { score: ({ data }: StoredValues) => data, release: nothing }
  if (axes.length === 0) {
    if (unit > 0) throw invalid(`${output.name} is one number a position`, 'target.unit')
    return { what: `${output.name}`, slice: [], ...plain }
  }
  const last = axes[axes.length - 1]
  checkIndex(unit, last, 'target.unit')
  if (axes.length === 1)
    return {
      what: `${last.dim} ${unit} at ${output.name}`,
      slice: sliceOf(output, [[unit, unit + 1]]),
      ...plain,
    }
  if (head === undefined) throw invalid(`${output.name} has heads, and none is named`, 'target.head')
  checkIndex(head, axes[0], 'target.head')
  return {
    what: `${axes[0].dim} ${head}, ${last.dim} ${unit} at ${output.name}`,
    slice: sliceOf(output, [
      [head, head + 1],
      [unit, unit + 1],
    ]),
    ...plain,
  }
}

/** Of the largest that were kept: a unit's value where it is among them, 0 where it is not. */
function keptScorer(collection: OpenCollection, output: StoredOutput, unit: number): Scorer {
  const { hook, asked, content } = output
  const name = (part: 'values' | 'indices'): string =>
    outputName(hook, asked.positions, asked.reduction, { content, part })
  collection.output(name('values'))
  const features = asked.reduction.kind === 'features'
  return {
    what: `${features ? 'feature' : 'unit'} ${unit} among the largest of ${hook}`,
    slice: [],
    async score(_, count, row) {
      const [values, indices] = await Promise.all([
        collection.valuesOf(row, name('values')),
        collection.valuesOf(row, name('indices')),
      ])
      const scores = new Float32Array(count)
      if (values === null || indices === null) return scores.fill(NaN)
      const k = values.data.length / count
      indices.data.forEach((index, i) => {
        if (index === unit) scores[Math.floor(i / k)] += values.data[i]
      })
      return scores
    },
    release: nothing,
  }
}

function headScorer(output: StoredOutput, head: number): Scorer {
  const axes = innerAxes(output)
  if (axes.length !== 2) throw invalid(`${output.name} has no heads`, 'target')
  checkIndex(head, axes[0], 'target.head')
  return {
    what: `norm of ${axes[0].dim} ${head} at ${output.name}`,
    slice: sliceOf(output, [
      [head, head + 1],
      [0, axes[1].size],
    ]),
    score: ({ data }, count) => along(data, count, (x) => x * x, Math.sqrt),
    release: nothing,
  }
}

function directionScorer(output: StoredOutput, width: number, direction: Tensor, what: string): Scorer {
  if (sizeOf(direction.shape) !== width)
    throw invalid(
      `${what} has ${sizeOf(direction.shape)} numbers, a position at ${output.name} ${width}`,
      'target',
    )
  return {
    what: `x · ${what} at ${output.name}`,
    slice: [],
    score: ({ data }, count) =>
      along(
        data,
        count,
        (x, i) => x * direction.data[i],
        (sum) => sum,
      ),
    release: nothing,
  }
}

/** `of` summed over each position's numbers, and then `then`. */
function along(
  data: Float32Array,
  count: number,
  of: (x: number, i: number) => number,
  then: (sum: number) => number,
): Float32Array {
  const width = data.length / count
  const out = new Float32Array(count)
  for (let position = 0; position < count; position++) {
    let sum = 0
    for (let i = 0; i < width; i++) sum += of(data[position * width + i], i)
    out[position] = then(sum)
  }
  return out
}

const invalid = (problem: string, field: string): PatchbayError =>
  new PatchbayError('input.invalid', `${problem[0].toUpperCase()}${problem.slice(1)}.`, {
    field,
    next: 'Choose what the output has, or another output.',
  })
