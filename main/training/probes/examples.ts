/** What a probe is fitted on: rows of activations with a label each; refused in words where they can not be learned from. */
import { PatchbayError } from '../../../preload/errors'

export interface Examples {
  /** [rows, width], row-major */
  readonly features: Float32Array | Float64Array
  readonly width: number
  /** 1 positive, 0 negative; one a row */
  readonly labels: ArrayLike<number>
  /** Names of the rows, each its own; a row that is there twice could be trained and tested on. */
  readonly ids?: readonly string[]
}

export const rowCount = ({ labels }: Examples): number => labels.length

/**
 * @throws PatchbayError `input.invalid` for no rows, a shape that does not fit, a label that is neither 0 nor 1, a number
 *   that is not finite (naming the row), or an id that is there twice
 */
export function checkExamples(examples: Examples): void {
  const { features, width, labels, ids } = examples
  const rows = labels.length
  if (rows === 0) throw refused('There are no examples.', 'Give examples of both classes.')
  if (!Number.isInteger(width) || width < 1 || features.length !== rows * width)
    throw refused(`The activations have ${features.length} numbers, not ${rows} × ${width}.`)
  for (let row = 0; row < rows; row++)
    if (labels[row] !== 0 && labels[row] !== 1)
      throw refused(`Label ${labels[row]} of ${nameOf(examples, row)} is neither 0 nor 1.`)
  for (let i = 0; i < features.length; i++)
    if (!Number.isFinite(features[i]))
      throw refused(
        `The activation of ${nameOf(examples, Math.floor(i / width))} is not finite (${features[i]} at ${i % width}).`,
        'Leave the example out, or look at why the model overflows on it.',
      )
  if (ids === undefined) return
  if (ids.length !== rows) throw refused(`There are ${ids.length} ids for ${rows} examples.`)
  const seen = new Map<string, number>()
  ids.forEach((id, row) => {
    const first = seen.get(id)
    if (first !== undefined)
      throw refused(
        `The id ${JSON.stringify(id)} is there twice (rows ${first} and ${row}).`,
        'Give every example an id of its own; one that is there twice could be trained and tested on.',
      )
    seen.set(id, row)
  })
}

/** @throws PatchbayError `input.invalid` where there are examples of one class only */
export function checkClasses({ labels }: Examples, part: string): void {
  let positive = 0
  for (let row = 0; row < labels.length; row++) positive += labels[row]
  if (positive > 0 && positive < labels.length) return
  const which = positive === 0 ? 'negative' : 'positive'
  throw refused(
    `All ${labels.length} ${part} examples are ${which}: there is nothing to tell apart.`,
    'Give examples of both classes.',
  )
}

/** Some rows, as examples of their own. */
export function rowsOfExamples(
  { features, width, labels, ids }: Examples,
  rows: readonly number[],
): Examples {
  const picked = new Float64Array(rows.length * width)
  rows.forEach((row, i) => picked.set(features.subarray(row * width, (row + 1) * width), i * width))
  return {
    features: picked,
    width,
    labels: Uint8Array.from(rows, (row) => labels[row]),
    ids: ids === undefined ? undefined : rows.map((row) => ids[row]),
  }
}

const nameOf = ({ ids }: Examples, row: number): string =>
  ids === undefined ? `row ${row}` : `row ${row} (${JSON.stringify(ids[row])})`

const refused = (message: string, next = 'Correct the data and try again.'): PatchbayError =>
  new PatchbayError('input.invalid', message, { next })
