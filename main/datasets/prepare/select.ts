/** Which rows of a source are used: from one on, a number of them, or a sample that a seed decides. */
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import type { DatasetSpec } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../runtime/cancelled'
import { seededGenerator } from '../../runtime/seeded'
import type { SourceRow } from '../types'
import type { OpenSource } from '../source/open'
import { numbered, type SourceFailure } from '../source/rows'

export type Selection = Pick<DatasetSpec, 'skip' | 'limit' | 'sample'>

/**
 * The selected rows in the source's order, those that can not be read among them: what is drawn depends on the seed and
 * the number of rows alone. For a sample the source is read once to count its rows, where it does not say.
 * @throws PatchbayError as `numbered`, `input.invalid` for a sample without a size
 */
export async function* selected(
  source: OpenSource,
  selection: Selection,
  signal?: AbortSignal,
): AsyncGenerator<SourceRow | SourceFailure> {
  const { skip, limit, sample } = selection
  if (sample !== null && limit === null)
    throw new PatchbayError('input.invalid', 'A sample needs a number of rows.', {
      field: 'limit',
      next: 'Say how many rows to draw.',
    })
  const drawn =
    sample === null || limit === null ? null : draw(skip, await countRows(source, signal), limit, sample.seed)
  const end = drawn === null ? skip + (limit ?? Infinity) : (drawn.at(-1) ?? -1) + 1
  if (end <= skip) return
  let next = 0
  for await (const item of numbered(source, signal)) {
    const wanted = drawn === null ? item.row >= skip : item.row === drawn[next]
    if (wanted) {
      next++
      yield item
    }
    if (item.row + 1 >= end) return
  }
}

async function countRows(source: OpenSource, signal?: AbortSignal): Promise<number> {
  const known = await source.count()
  if (known !== null) return known
  let rows = 0
  for await (const batch of source.read(signal)) {
    throwIfCancelled(signal)
    rows += batch.length
  }
  return rows
}

/** `count` different numbers of from … to − 1, ascending (Floyd's algorithm; Bentley and Floyd 1987). */
function draw(from: number, to: number, count: number, seed: number): number[] {
  const generator = seededGenerator(seed % 2 ** 32)
  const chosen = new Set<number>()
  for (let last = Math.max(from, to - count); last < to; last++) {
    const drawn = uniformInt(generator, from, last)
    chosen.add(chosen.has(drawn) ? last : drawn)
  }
  return [...chosen].sort((a, b) => a - b)
}
