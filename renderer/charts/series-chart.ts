/** What charts of named series over labelled places share: keys and clicks choose a place, which is spoken; their table. */
import { computed, useTemplateRef } from 'vue'
import type { Table } from './csv'
import type { FrameHandle } from './frame-handle'
import { useIndexKeys } from './index-keys'

export interface SeriesChart {
  readonly labels: () => readonly string[]
  readonly series: () => readonly { readonly name: string; readonly values: ArrayLike<number> }[]
  readonly selected: () => number | null
  readonly select: (index: number) => void
  /** Which of a cell's indices in the picture is the place. */
  readonly axis: 'x' | 'y'
  /** What the labels are, in the table's header. */
  readonly labelTitle: () => string
  /** A place and a value as they are spoken. */
  readonly place: (label: string) => string
  readonly format: (value: number) => string
}

/** The chart's `ChartFrame` has the template ref `frame`. */
export function useSeriesChart({ labels, series, selected, select, axis, ...words }: SeriesChart) {
  const frame = useTemplateRef<FrameHandle>('frame')
  const { onKeydown } = useIndexKeys(() => labels().length, selected, select)
  const spoken = computed(() => {
    const at = selected()
    if (at === null || at >= labels().length) return ''
    const values = series().map(({ name, values }) => `${name} ${words.format(values[at])}`)
    return `${words.place(labels()[at])}: ${values.join(', ')}`
  })
  function onPoint(x: number, y: number): void {
    const cell = frame.value?.cellAt(x, y) ?? null
    if (cell !== null) select(cell[axis === 'x' ? 0 : 1])
  }
  const table = (): Table => ({
    header: [words.labelTitle(), ...series().map(({ name }) => name)],
    rows: labels().map((label, i) => [label, ...series().map(({ values }) => values[i])]),
  })
  return { onKeydown, spoken, onPoint, table, source: computed(() => frame.value?.source ?? null) }
}
