/** A sweep as a file for other tools: CSV for spreadsheets, Parquet for tables, JSON with everything, npy with the raw values alone. */
import { parquetWriteBuffer } from 'hyparquet-writer'
import { certificateText } from '../../../preload/certificate'
import type { SweepMetric, SweepRequest, SweepResult } from '../../../preload/sweep'
import { unravel } from '../../../preload/tensor'
import { encodeNpy } from '../../models/formats/npy'
import { numberCell, textCell } from '../csv'

export const sweepFormats = ['csv', 'parquet', 'json', 'npy'] as const
export type SweepFormat = (typeof sweepFormats)[number]

/**
 * - csv: a first line that says what it was computed on, a header, one row for each site: its place on the axes, its token,
 *   and for each metric the raw and the normalised value. `pandas.read_csv(file, skiprows=1)`.
 * - parquet: the same table, its first line as the file's metadata `patchbay`. `pandas.read_parquet(file)`.
 * - json: request, plan, values, and what they were computed on; null where there is no value.
 * - npy: raw float32 values [metric, …axes], without the first axis where there is one metric.
 * @param texts the base's tokens
 */
export function sweepFile(
  result: SweepResult,
  request: SweepRequest,
  texts: readonly string[],
  format: SweepFormat,
): Uint8Array<ArrayBuffer> {
  switch (format) {
    case 'csv':
      return new TextEncoder().encode(csvOf(result, request, texts))
    case 'parquet':
      return parquetOf(result, request, texts)
    case 'json':
      return new TextEncoder().encode(jsonOf(result, request, texts))
    case 'npy': {
      const { shape, data } = result.raw
      return encodeNpy({ type: 'float32', shape: shape[0] === 1 ? shape.slice(1) : shape, data })
    }
  }
}

/** What the numbers were computed on, in one line. */
function computedOn({ plan, evidence, direction }: SweepResult): string {
  const { modelName, fingerprint, precision, provider, requestHash, patchbay, certificate } =
    evidence.provenance
  return `${direction} of ${plan.hooks[0]} and others in ${modelName} (${fingerprint}), ${precision} on ${provider} (${certificateText(certificate)}), base request ${requestHash}, Patchbay ${patchbay}`
}

interface SiteRow {
  readonly places: readonly number[]
  readonly hook: string
  /** Of the base, where positions are an axis. */
  readonly token: string
  /** For each metric its raw and its normalised value, NaN where there is none. */
  readonly values: readonly number[]
}

function rowsOf({ plan, raw, normalised }: SweepResult, texts: readonly string[]): SiteRow[] {
  const sites = raw.data.length / plan.ends.length
  const position = plan.axes.findIndex((axis) => axis.name === 'position')
  const perHook = sites / plan.hooks.length
  return Array.from({ length: sites }, (_, site) => {
    const index = unravel(plan.shape, site)
    const places = plan.axes.map((axis, i) => axis.values[index[i]])
    return {
      places,
      hook: plan.hooks[Math.floor(site / perHook)],
      token: position === -1 ? '' : (texts[places[position]] ?? ''),
      values: plan.ends.flatMap((_, metric) => [
        raw.data[metric * sites + site],
        normalised[metric]?.data[site] ?? NaN,
      ]),
    }
  })
}

const hasPositions = ({ plan }: SweepResult): boolean => plan.axes.some(({ name }) => name === 'position')

/** Columns of raw and normalised values. */
export function valueNames(metrics: readonly SweepMetric[]): string[] {
  const names = metrics.map(({ kind }, i) => (metrics.length === 1 ? kind : `${kind} ${i}`))
  return names.flatMap((name) => [name, `${name} normalised`])
}

function csvOf(result: SweepResult, request: SweepRequest, texts: readonly string[]): string {
  const token = hasPositions(result)
  const axes = result.plan.axes.map(({ name }) => name)
  const lines = [
    textCell(`# ${computedOn(result)}`),
    [...axes, 'hook', ...(token ? ['token'] : []), ...valueNames(request.metrics)].join(','),
    ...rowsOf(result, texts).map((row) =>
      [...row.places, row.hook, ...(token ? [textCell(row.token)] : []), ...row.values.map(numberCell)].join(
        ',',
      ),
    ),
  ]
  return `${lines.join('\n')}\n`
}

function parquetOf(
  result: SweepResult,
  request: SweepRequest,
  texts: readonly string[],
): Uint8Array<ArrayBuffer> {
  const rows = rowsOf(result, texts)
  const columnData = [
    ...result.plan.axes.map(({ name }, axis) => ({
      name,
      data: rows.map(({ places }) => places[axis]),
      type: 'INT32' as const,
    })),
    { name: 'hook', data: rows.map(({ hook }) => hook), type: 'STRING' as const },
    ...(hasPositions(result)
      ? [{ name: 'token', data: rows.map(({ token }) => token), type: 'STRING' as const }]
      : []),
    ...valueNames(request.metrics).map((name, i) => ({
      name,
      data: rows.map(({ values }) => values[i]),
      type: 'DOUBLE' as const,
    })),
  ]
  return new Uint8Array(
    parquetWriteBuffer({ columnData, kvMetadata: [{ key: 'patchbay', value: computedOn(result) }] }),
  )
}

function jsonOf(result: SweepResult, request: SweepRequest, texts: readonly string[]): string {
  // JSON has no NaN: null stands for a site without a value.
  const numbers = (data: Float32Array): (number | null)[] =>
    Array.from(data, (value) => (Number.isFinite(value) ? Number(value.toPrecision(9)) : null))
  const { raw, normalised, ...rest } = result
  return `${JSON.stringify({
    ...rest,
    request,
    tokens: texts,
    raw: { shape: raw.shape, data: numbers(raw.data) },
    normalised: normalised.map((map) => (map === null ? null : numbers(map.data))),
  })}\n`
}
