/** What the inspector says about a place in an activation. */
import type { HookPointInfo } from '../../../preload/model'
import type { ActivationView } from '../../../preload/views'
import type { Cell } from '../../charts/heatmap-layout'
import { formatNumber } from '../../charts/numbers'
import type { ExportAction, InspectorSubject } from '../../stores/inspector'
import type { ActivationGrid } from './activation-grid'
import { actualShape, symbolicShape } from './shapes'

/** A value as read; what is not finite has no colour in the picture. */
export const valueText = (value: number): string =>
  Number.isNaN(value) ? 'not finite (masked or NaN)' : formatNumber(value, 5)

/** The index of a cell in the whole activation, with the batch axis: `[0, 13, 7]`. */
export const indexText = (grid: ActivationGrid, cell: Cell): string =>
  `[${[0, ...grid.place(cell.row, cell.column).index].join(', ')}]`

export function activationSubject(
  hook: HookPointInfo,
  tokens: readonly string[],
  position: number,
  shown: { view: ActivationView; grid: ActivationGrid; cell: Cell | null } | null,
  exports: ExportAction[],
): InspectorSubject {
  const { view, grid, cell } = shown ?? { view: null, grid: null, cell: null }
  return {
    title: `${hook.name} · position ${position}`,
    hook: hook.name,
    shape: `${symbolicShape(hook)} = ${actualShape(hook, tokens.length)}`,
    rows: [
      { label: 'Token', value: tokens[position] ?? '–', mono: true },
      ...(grid === null || cell === null
        ? []
        : [
            {
              label: `Value at ${indexText(grid, cell)}`,
              value: valueText(grid.values[cell.row * grid.columns.length + cell.column]),
              mono: true,
            },
          ]),
      ...(view !== null && view.rows === tokens.length
        ? [{ label: 'L2 norm at the position', value: formatNumber(view.norms[position], 5), mono: true }]
        : []),
    ],
    explanation: `${hook.meaning} Captured in one forward pass over the prompt, as the model computes it; nothing is folded or centred.`,
    evidence: view?.evidence,
    exports,
  }
}
