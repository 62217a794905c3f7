/** What a query, key or value is on its way from its projection to where it is used. */
import { viewAs } from '../../onnx/exported/view'
import type { Dim } from '../../onnx/graph'
import type { Cone, GraphView } from './graph-view'
import { isLinear } from './linear'
import type { Norms } from './norms'
import { siteAmong, type FoundSite } from './sites'

/** A graph input with keys or values of earlier positions, and the output that holds them with the new ones. */
export interface Past {
  readonly input: string
  readonly present: string
}

export interface OperandSites {
  /** As it comes out of the projection. */
  readonly plain: FoundSite | null
  readonly rotated: FoundSite | null
  readonly count: number | null
  readonly past: Past | null
}

export interface OperandSize {
  readonly batch: Dim
  readonly pos: Dim
  readonly headDim: number
  /** Heads, where known. */
  readonly count: number | null
}

export function operandSites(
  view: GraphView,
  norms: Norms,
  cone: Cone,
  operand: string | null,
  size: OperandSize,
): OperandSites {
  if (operand === null) return { plain: null, rotated: null, count: null, past: null }
  const way = view.wayBack(operand, cone)
  const projected = way.findIndex((value) => {
    const node = view.maker(value)
    return node !== null && isLinear(view, node)
  })
  const path = projected === -1 ? way : way.slice(0, projected + 1)
  const joint = path.findIndex((value) => isRotation(view, norms, cone, value))
  const past = pastOf(view, cone, path)
  const count = size.count ?? countOf(view, path, size)
  if (count === null) return { plain: null, rotated: null, count: null, past }
  const wanted = [size.batch, size.pos, count, size.headDim]
  // Nearest to the projection first.
  const behind = path.slice(joint + 1).reverse()
  const plain = projected === -1 ? null : siteAmong(view, beforeNorms(norms, behind), wanted)
  const rotated = joint === -1 ? null : siteAmong(view, [path[joint]], wanted)
  return { plain, rotated, count, past }
}

/** Values up to the first head norm; all where there is none. */
function beforeNorms(norms: Norms, values: readonly string[]): string[] {
  const first = values.findIndex((value) => norms.byOutput.has(value))
  return first === -1 ? [...values] : values.slice(0, first)
}

/** The rotary embedding: one operator, or where the halves of a head come together again. Norms come together too. */
function isRotation(view: GraphView, norms: Norms, cone: Cone, value: string): boolean {
  const node = view.maker(value)
  if (node === null || norms.byOutput.has(value)) return false
  return node.op === 'RotaryEmbedding' || view.inside(node, cone).length > 1
}

/** Heads of keys or values: of the first value on the way from the projection that has them apart. */
function countOf(
  view: GraphView,
  path: readonly string[],
  { batch, pos, headDim }: OperandSize,
): number | null {
  for (const value of [...path].reverse()) {
    const shape = view.shape(value)
    if (shape?.length !== 4 || shape[0] !== batch) continue
    const count = shape.find((dim, axis) => axis > 0 && dim !== pos && dim !== headDim) ?? headDim
    if (typeof count === 'number' && viewAs(shape, [batch, pos, count, headDim]) !== null) return count
  }
  return null
}

/** Where keys or values of earlier positions are put in front. */
function pastOf(view: GraphView, cone: Cone, path: readonly string[]): Past | null {
  for (const value of path) {
    const node = view.maker(value)
    if (node?.op !== 'Concat' || view.inside(node, cone).length !== 1) continue
    const input = node.inputs.find((name) => view.isInput(view.root(name)))
    const present = view.outputOf(value)
    if (input !== undefined && present !== null) return { input: view.root(input), present }
  }
  return null
}
