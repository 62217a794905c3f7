/** A scrubbing check as a file for other tools: CSV with one row a draw, JSON with everything. */
import type { MetricEnds } from '../../../preload/attribution'
import type { ScrubRequest, ScrubResult } from '../../../preload/sweep'
import { normalised } from '../attribution/pair'
import { numberCell, provenanceCell } from '../csv'
import { valueNames } from './export'

export const scrubFormats = ['csv', 'json'] as const
export type ScrubFormat = (typeof scrubFormats)[number]

/**
 * - csv: a first line that says what it was computed on, a header, one row for each of the two prompts as they are and for
 *   each draw of each set, with the raw and the normalised value of each metric. `pandas.read_csv(file, skiprows=1)`.
 * - json: request, ends, sets, and what they were computed on.
 */
export function scrubFile(
  result: ScrubResult,
  request: ScrubRequest,
  format: ScrubFormat,
): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(format === 'csv' ? csvOf(result, request) : jsonOf(result, request))
}

function csvOf(
  { circuits, ends, evidence, direction }: ScrubResult,
  { metrics, draws }: ScrubRequest,
): string {
  const cells = (values: readonly number[]): string[] =>
    values.flatMap((value, metric) => [numberCell(value), numberCell(normalised(ends[metric], value) ?? NaN)])
  const end = (side: keyof Pick<MetricEnds, 'clean' | 'corrupt'>): string =>
    [side, '', '', '', ...cells(ends.map((one) => one[side]))].join(',')
  const lines = [
    provenanceCell(`scrubbing (${direction}), all but kept components replaced,`, evidence.provenance),
    ['set', 'kept', 'replaced', 'draw', ...valueNames(metrics)].join(','),
    end('clean'),
    end('corrupt'),
    ...circuits.flatMap(({ kept, replaced, values: { data } }, set) =>
      Array.from({ length: draws }, (_, draw) => {
        const values = metrics.map((_, metric) => data[metric * draws + draw])
        return [set, kept, replaced, draw, ...cells(values)].join(',')
      }),
    ),
  ]
  return `${lines.join('\n')}\n`
}

/** `values` as [metric][draw]. */
function jsonOf({ circuits, ...rest }: ScrubResult, request: ScrubRequest): string {
  const { draws, metrics } = request
  const sets = circuits.map(({ values: { data }, ...set }) => ({
    ...set,
    values: metrics.map((_, metric) =>
      Array.from(data.subarray(metric * draws, (metric + 1) * draws), (x) => Number(x.toPrecision(9))),
    ),
  }))
  return `${JSON.stringify({ ...rest, request, circuits: sets })}\n`
}
