/** A sweep as a file for other tools: CSV for spreadsheets, JSON with everything, npy with the raw values alone. */
import { certificateText } from '../../../preload/certificate'
import type { SweepRequest, SweepResult } from '../../../preload/sweep'
import { encodeNpy } from '../../models/formats/npy'
import { numberCell, textCell } from '../csv'

export const sweepFormats = ['csv', 'json', 'npy'] as const
export type SweepFormat = (typeof sweepFormats)[number]

/**
 * - csv: a first line that says what it was computed on, a header, one row for each site: its place on the axes, its token,
 *   and for each metric the raw and the normalised value. `pandas.read_csv(file, skiprows=1)`.
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
    case 'json':
      return new TextEncoder().encode(jsonOf(result, request, texts))
    case 'npy': {
      const { shape, data } = result.raw
      return encodeNpy({ type: 'float32', shape: shape[0] === 1 ? shape.slice(1) : shape, data })
    }
  }
}

function csvOf(
  { plan, raw, normalised, evidence, direction }: SweepResult,
  request: SweepRequest,
  texts: readonly string[],
): string {
  const { modelName, fingerprint, precision, provider, requestHash, patchbay, certificate } =
    evidence.provenance
  const sites = raw.data.length / plan.ends.length
  const position = plan.axes.findIndex((axis) => axis.name === 'position')
  const names = request.metrics.map(({ kind }, i) => (request.metrics.length === 1 ? kind : `${kind} ${i}`))
  const lines = [
    textCell(
      `# ${direction} of ${plan.hooks[0]} and others in ${modelName} (${fingerprint}), ${precision} on ${provider} (${certificateText(certificate)}), base request ${requestHash}, Patchbay ${patchbay}`,
    ),
    [
      ...plan.axes.map((axis) => axis.name),
      'hook',
      ...(position === -1 ? [] : ['token']),
      ...names.flatMap((name) => [name, `${name} normalised`]),
    ].join(','),
  ]
  const perHook = sites / plan.hooks.length
  for (let site = 0; site < sites; site++) {
    const index = indexOf(plan.shape, site)
    const places = plan.axes.map((axis, i) => axis.values[index[i]])
    const values = plan.ends.flatMap((_, metric) => [
      numberCell(raw.data[metric * sites + site]),
      numberCell(normalised[metric]?.data[site] ?? NaN),
    ])
    const token = position === -1 ? [] : [textCell(texts[places[position]] ?? '')]
    lines.push([...places, plan.hooks[Math.floor(site / perHook)], ...token, ...values].join(','))
  }
  return `${lines.join('\n')}\n`
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

/** The index on each axis of a flat, row-major index. */
function indexOf(shape: readonly number[], flat: number): number[] {
  const index: number[] = []
  let rest = flat
  for (const size of [...shape].reverse()) {
    index.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return index
}
