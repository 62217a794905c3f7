/** The kinds of components that a sweep patches, and the grids in which that makes a picture. */
import type { CallInput } from '../../../preload/api'
import type { PatchPlace } from '../../../preload/attribution'
import { parseHook } from '../../../preload/hooks'
import type { SweepAxis, SweepComponent, SweepMetricInput, SweepPlan } from '../../../preload/sweep'
import { linearProblem, type LinearMetric } from '../metric/linear'
import type { MetricKind } from '../metric/metric-words'

type Target = CallInput<'sweep.run'>['target']

export interface ComponentKind {
  value: SweepComponent
  label: string
  /** Whether it has a head axis. */
  heads: boolean
  /** Field of an attribution-patching result that estimates it; null where there is none. */
  estimate: 'residPre' | 'attnOut' | 'mlpOut' | 'heads' | null
}

export const componentKinds: readonly ComponentKind[] = [
  { value: 'resid_pre', label: 'Residual stream, before', heads: false, estimate: 'residPre' },
  { value: 'resid_mid', label: 'Residual stream, between', heads: false, estimate: null },
  { value: 'resid_post', label: 'Residual stream, after', heads: false, estimate: null },
  { value: 'attn_out', label: 'Attention output', heads: false, estimate: 'attnOut' },
  { value: 'mlp_out', label: 'MLP output', heads: false, estimate: 'mlpOut' },
  { value: 'z', label: 'Heads (z)', heads: true, estimate: 'heads' },
  { value: 'q', label: 'Queries', heads: true, estimate: null },
  { value: 'k', label: 'Keys', heads: true, estimate: null },
  { value: 'v', label: 'Values', heads: true, estimate: null },
  { value: 'pattern', label: 'Patterns', heads: true, estimate: null },
]

/** The seven in one picture: everything that a block reads, computes inside and writes. */
export const sevenKinds: readonly SweepComponent[] = ['resid_pre', 'attn_out', 'mlp_out', 'z', 'q', 'k', 'v']

/** A map is layers × one axis, or one layer's heads × positions. */
export type MapAxes = 'position' | 'head' | 'head-position'

/** @param layers all unless given */
export function targetOf(
  component: SweepComponent,
  axes: MapAxes,
  layer: number,
  layers?: readonly number[],
): Target {
  const by: SweepAxis[] = axes === 'head-position' ? ['head', 'position'] : [axes]
  const chosen = axes === 'head-position' ? [layer] : layers
  return { kind: 'grid', component, by, ...(chosen === undefined ? {} : { layers: [...chosen] }) }
}

/** The axes of the picture: those along which there is more than one place. */
export interface MapFrame {
  rows: number[]
  columns: number[]
  rowTitle: string
  columnTitle: string
  /** What rows and columns are called, where their numbers do not say it. */
  rowLabels?: string[]
  columnLabels?: string[]
}

export function frameOf({ axes }: SweepPlan): MapFrame {
  const [first, ...rest] = axes
  const [row, column] = rest.length > 1 ? rest : [first, rest[0]]
  return {
    rows: row.values,
    columns: column.values,
    rowTitle: row.name,
    columnTitle: column.name,
  }
}

/** "L3 N512" */
export const neuronText = ({ hook, units = [] }: PatchPlace): string =>
  `L${parseHook(hook)?.layer ?? '?'} N${units.join(', ')}`

/**
 * The map of single neurons: a row each, at each position or ([]) at all of them at once.
 * @param sites row-major, as `NeuronTarget.target` gives them
 */
export function neuronFrame(sites: readonly PatchPlace[]): MapFrame {
  const [first] = sites
  const name = neuronText(first)
  const width = sites.findIndex((site) => neuronText(site) !== name)
  const columns = sites.slice(0, width === -1 ? sites.length : width)
  const rows = sites.filter((_, i) => i % columns.length === 0)
  const whole = first.positions === undefined
  return {
    rows: rows.map((_, i) => i),
    columns: columns.map(({ positions }, i) => positions?.[0] ?? i),
    rowTitle: 'neuron',
    columnTitle: whole ? 'positions' : 'position',
    rowLabels: rows.map(neuronText),
    ...(whole ? { columnLabels: ['all'] } : {}),
  }
}

/** The metric that a sweep is asked for; null while a token is missing. */
export function sweepMetricOf(
  kind: MetricKind,
  towards: number | null,
  against: number | null,
  position: 'last' | number,
  linear: LinearMetric,
): SweepMetricInput | null {
  if (kind === 'kl') return { kind, target: 'clean', position }
  if (kind === 'linear') {
    if (linearProblem(linear) !== null) return null
    const { of, terms } = linear
    return {
      kind,
      of,
      tokens: terms.map(({ token }) => token.id),
      weights: terms.map(({ weight }) => weight),
      position,
    }
  }
  if (towards === null) return null
  switch (kind) {
    case 'logit':
      return { kind: 'logit-difference', positive: [towards], negative: [], position }
    case 'logit-difference':
      return against === null || against === towards
        ? null
        : { kind, positive: [towards], negative: [against], position }
    default:
      return { kind, token: towards, position }
  }
}
