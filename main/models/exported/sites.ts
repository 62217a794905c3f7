/** Where a hook point lies in an exported graph: which value it is, and how that value is to be looked at. */
import type { Dim } from '../../onnx/graph'
import { viewAs, type View } from '../../onnx/exported/view'
import type { GraphView } from './graph-view'

export interface FoundSite {
  readonly value: string
  readonly view: View
  /** Where a change is put in, if not at the value itself: scores are changed before they are masked. */
  readonly changedAt?: string
}

/** Symbols of the batch and the positions in a graph. */
export interface Axes {
  readonly batch: Dim
  readonly pos: Dim
}

/** The first of the candidates that holds `wanted`, in the order of preference: as it is, transposed, flat. */
export function siteAmong(
  view: GraphView,
  candidates: readonly string[],
  wanted: readonly Dim[],
): FoundSite | null {
  const found = candidates.flatMap((value) => {
    const shape = view.shape(value)
    const seen = shape === null ? null : viewAs(shape, wanted)
    return seen === null ? [] : [{ value, view: seen, cost: costOf(seen) }]
  })
  const [best] = found.sort((a, b) => a.cost - b.cost)
  return found.length === 0 ? null : { value: best.value, view: best.view }
}

const costOf = ({ perm, shape }: View): number => (perm !== null ? 1 : 0) + (shape !== null ? 1 : 0)
