/** A scrubbing check as a picture, a table and files. */
import type { CallOutput } from '../../../preload/api'
import type { Table } from '../../charts/csv'
import { csvFile, exportFile } from '../../charts/export'
import type { StripGroup } from '../../charts/strip-option'
import { saveExport } from '../../exports/provenance'
import type { SavedFile } from '../../exports/save'
import type { ExportAction } from '../../stores/inspector'

export type ScrubResult = CallOutput<'sweep.scrub'>

/** The sets in the order in which they are asked for. */
export const scrubSets = [
  { name: 'kept only', colour: 'accent' },
  { name: 'all but kept', colour: 'pin' },
  { name: 'nothing kept', colour: 'pin' },
] as const

export interface ScrubRow {
  name: string
  kept: number
  replaced: number
  /** The metric of each draw. */
  values: number[]
  mean: number
  /** Sample standard deviation over draws; null of one draw. */
  spread: number | null
  /** 0 as corrupt, 1 as clean; null where the two are the same. */
  normalised: number | null
}

/** Of n − 1; null of fewer than two values. */
export function deviation(values: readonly number[]): number | null {
  if (values.length < 2) return null
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1))
}

export const scrubRows = ({ circuits }: ScrubResult): ScrubRow[] =>
  circuits.map(({ kept, replaced, values: { shape, data }, mean, normalised }, i) => {
    const values = Array.from(data.subarray(0, shape[1]))
    return {
      name: scrubSets.at(i)?.name ?? `set ${i + 1}`,
      kept,
      replaced,
      values,
      mean: mean[0],
      spread: deviation(values),
      normalised: normalised[0],
    }
  })

/** Every draw as a dot, the two prompts as they are above. */
export const scrubGroups = (result: ScrubResult): StripGroup[] => [
  { name: 'clean', values: [result.ends[0].clean], colour: 'left' },
  { name: 'corrupt', values: [result.ends[0].corrupt], colour: 'right' },
  ...scrubRows(result).map(({ name, values }, i) => ({
    name,
    values,
    colour: scrubSets.at(i)?.colour ?? ('pin' as const),
  })),
]

/** One line a draw. */
export function scrubTable(result: ScrubResult): Table {
  const [{ clean, corrupt, problem }] = result.ends
  const share = (value: number): number => (problem === null ? (value - corrupt) / (clean - corrupt) : NaN)
  return {
    header: ['set', 'kept', 'replaced', 'draw', 'metric', 'normalised'],
    rows: [
      ['clean', '', '', 1, clean, share(clean)],
      ['corrupt', '', '', 1, corrupt, share(corrupt)],
      ...scrubRows(result).flatMap(({ name, kept, replaced, values }) =>
        values.map((value, draw) => [name, kept, replaced, draw + 1, value, share(value)]),
      ),
    ],
  }
}

/** @param kept names of the kept components */
export const scrubJson = (result: ScrubResult, kept: readonly string[]): string =>
  JSON.stringify(
    {
      evidence: result.evidence,
      direction: result.direction,
      ends: result.ends,
      kept,
      sets: scrubRows(result),
    },
    null,
    2,
  )

/** @param shown asked for at the click */
export function scrubExports(
  shown: () => { result: ScrubResult; kept: readonly string[] } | null,
): ExportAction[] {
  const action = (
    id: string,
    label: string,
    make: (result: ScrubResult, kept: readonly string[]) => SavedFile,
  ): ExportAction => ({
    id,
    label,
    run: async () => {
      const of = shown()
      if (of !== null) await saveExport(make(of.result, of.kept), of.result.evidence)
    },
  })
  return [
    action('csv', 'CSV table', (result) => csvFile(scrubTable(result), 'scrubbing')),
    action('json', 'JSON', (result, kept) =>
      exportFile('scrubbing', 'json', new TextEncoder().encode(scrubJson(result, kept))),
    ),
  ]
}
