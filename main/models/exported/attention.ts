/**
 * Finds the insides of an attention sublayer from its softmax: forwards the pattern, z and the output projection,
 * backwards the scores, queries and keys, and beside them the values.
 */
import type { BlockSite } from '../../../preload/hooks'
import type { OnnxNode } from '../../onnx/exported/model'
import { asItIs, viewAs } from '../../onnx/exported/view'
import type { Dim } from '../../onnx/graph'
import type { Cone, GraphView } from './graph-view'
import { isLayout, isLinear, isProduct } from './linear'
import type { Norms } from './norms'
import { siteAmong, type Axes, type FoundSite } from './sites'

export interface Attention {
  readonly heads: number
  readonly kvHeads: number | null
  readonly headDim: number
  readonly sites: ReadonlyMap<BlockSite, FoundSite>
  /** What was looked for and not found, with the reason. */
  readonly missing: ReadonlyMap<BlockSite, string>
  /** Graph inputs with keys and values of earlier positions, and the values that hold them with the new ones. */
  readonly past: { readonly key: Past; readonly value: Past } | null
}

export interface Past {
  readonly input: string
  readonly present: string
}

/** The product of a pattern with values, from which everything else is found. */
interface Core {
  readonly softmax: OnnxNode
  /** The pattern as the product reads it. */
  readonly pattern: string
  readonly product: OnnxNode
}

/** Whether a branch holds an attention pattern: a softmax that is multiplied with something computed. */
export const coresOf = (view: GraphView, cone: Cone): Core[] =>
  cone.nodes.flatMap((node) => (node.op === 'Softmax' ? (coreOf(view, node) ?? []) : []))

function coreOf(view: GraphView, softmax: OnnxNode): Core | null {
  let pattern = softmax.outputs[0]
  for (;;) {
    const readers = view.readers(pattern)
    const product = readers.find((node) => isProduct(view, node) && node.inputs[0] === pattern)
    if (product !== undefined) return { softmax, pattern, product }
    // A softmax over nothing but masked places is no number; some exporters replace it by zero.
    const next = readers.find((node) => node.op === 'Where' || view.passesOn(node) || node.op === 'Cast')
    if (next === undefined) return null
    pattern = next.outputs[0]
  }
}

export function findAttention(
  view: GraphView,
  norms: Norms,
  cone: Cone,
  core: Core,
  { batch, pos }: Axes,
): Attention | null {
  const { product, pattern, softmax } = core
  const perHead = view.shape(product.outputs[0])
  const headDim = perHead?.at(-1)
  const heads = headsOf(view.shape(pattern), batch, pos)
  if (typeof headDim !== 'number' || heads === null) return null

  const sites = new Map<BlockSite, FoundSite>()
  const missing = new Map<BlockSite, string>()
  const put = (site: BlockSite, found: FoundSite | null, reason: string): void => {
    if (found === null) missing.set(site, reason)
    else sites.set(site, found)
  }
  put(
    'attn.hook_pattern',
    whole(view, pattern, [batch, heads, pos]),
    'the pattern is laid out by groups of heads',
  )
  const scores = whole(view, softmax.inputs[0], [batch, heads, pos])
  const asked = scoreProduct(view, cone, softmax.inputs[0])
  put(
    'attn.hook_attn_scores',
    scores === null ? null : { ...scores, changedAt: asked?.unmasked },
    'the scores are laid out by groups of heads',
  )
  const z = siteAmong(view, zCandidates(view, product.outputs[0]), [batch, pos, heads, headDim])
  put('attn.hook_z', z, 'no value has the layout of z')

  const queries = operandSites(view, norms, cone, asked?.queries ?? null, {
    batch,
    pos,
    headDim,
    count: heads,
  })
  const keys = operandSites(view, norms, cone, asked?.keys ?? null, { batch, pos, headDim, count: null })
  const values = operandSites(view, norms, cone, product.inputs[1], { batch, pos, headDim, count: null })
  const unfound = 'it does not come out of one projection'
  put('attn.hook_q', queries.plain, unfound)
  put('attn.hook_k', keys.plain, unfound)
  put('attn.hook_v', values.plain, unfound)
  if (queries.rotated !== null || keys.rotated !== null) {
    put('attn.hook_rot_q', queries.rotated, 'the rotated queries are no value of their own')
    put('attn.hook_rot_k', keys.rotated, 'the rotated keys are no value of their own')
  }
  const past = keys.past === null || values.past === null ? null : { key: keys.past, value: values.past }
  return { heads, kvHeads: values.count ?? keys.count, headDim, sites, missing, past }
}

/** Heads of a pattern [batch, head, q_pos, k_pos]. */
function headsOf(shape: readonly Dim[] | null, batch: Dim, pos: Dim): number | null {
  if (shape?.length !== 4 || shape[0] !== batch || shape[2] !== pos) return null
  return typeof shape[1] === 'number' ? shape[1] : null
}

/** A value of four axes that begin with `leading`. */
function whole(view: GraphView, value: string, leading: readonly Dim[]): FoundSite | null {
  const shape = view.shape(value)
  if (shape?.length !== 4 || shape.slice(0, 3).join() !== leading.join()) return null
  return { value, view: asItIs }
}

/** z and its layouts, up to the output projection. */
function zCandidates(view: GraphView, product: string): string[] {
  const values = [product]
  for (;;) {
    const next = view.readers(values[values.length - 1])
    if (next.length !== 1 || !isLayout(next[0])) return values
    values.push(next[0].outputs[0])
  }
}

/** The product of queries and keys behind the scores, and the scores as they were before the mask was added. */
function scoreProduct(
  view: GraphView,
  cone: Cone,
  scores: string,
): { queries: string; keys: string; unmasked: string } | null {
  let unmasked = scores
  for (const value of view.wayBack(scores, cone)) {
    const node = view.maker(value)
    if (node === null) return null
    if (isProduct(view, node)) return { queries: node.inputs[0], keys: node.inputs[1], unmasked }
    const [inner] = view.inside(node, cone)
    if (inner !== undefined && addsMask(view, node, inner)) unmasked = inner
  }
  return null
}

/** Whether a mask or a bias is put over the scores: something that is more than one number. */
const addsMask = (view: GraphView, node: OnnxNode, inner: string): boolean =>
  (node.op === 'Add' || node.op === 'Where') &&
  node.inputs.some((name) => name !== inner && !view.isScalar(name))

interface OperandSites {
  /** As it comes out of the projection. */
  readonly plain: FoundSite | null
  readonly rotated: FoundSite | null
  readonly count: number | null
  readonly past: Past | null
}

/** What a query, key or value is on its way from its projection to the product. */
function operandSites(
  view: GraphView,
  norms: Norms,
  cone: Cone,
  operand: string | null,
  size: { batch: Dim; pos: Dim; headDim: number; count: number | null },
): OperandSites {
  if (operand === null) return { plain: null, rotated: null, count: null, past: null }
  const way = view.wayBack(operand, cone)
  const projected = way.findIndex((value) => {
    const node = view.maker(value)
    return node !== null && isLinear(view, node)
  })
  const path = projected === -1 ? way : way.slice(0, projected + 1)
  const joint = path.findIndex((value) => isJoint(view, norms, cone, value))
  const count = size.count ?? countOf(view, path, size)
  if (count === null) return { plain: null, rotated: null, count: null, past: pastOf(view, cone, path) }
  const wanted = [size.batch, size.pos, count, size.headDim]
  // Nearest to the projection first.
  const behind = path.slice(joint + 1).reverse()
  const plain = projected === -1 ? null : siteAmong(view, beforeNorms(norms, behind), wanted)
  const rotated = joint === -1 ? null : siteAmong(view, [path[joint]], wanted)
  return { plain, rotated, count, past: pastOf(view, cone, path) }
}

/** Values up to the first head norm; all where there is none. */
function beforeNorms(norms: Norms, values: readonly string[]): string[] {
  const first = values.findIndex((value) => norms.byOutput.has(value))
  return first === -1 ? [...values] : values.slice(0, first)
}

/** Where halves of one head come together again: the rotary embedding. Norms come together too. */
function isJoint(view: GraphView, norms: Norms, cone: Cone, value: string): boolean {
  const node = view.maker(value)
  return node !== null && view.inside(node, cone).length > 1 && !norms.byOutput.has(value)
}

/** Heads of keys or values: of the first value on the way from the projection that has them apart. */
function countOf(
  view: GraphView,
  path: readonly string[],
  { batch, pos, headDim }: { batch: Dim; pos: Dim; headDim: number },
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
  const inputs = new Set(view.model.graph.inputs.map(({ name }) => name))
  for (const value of path) {
    const node = view.maker(value)
    if (node?.op !== 'Concat') continue
    const input = node.inputs.find((name) => inputs.has(view.root(name)))
    if (input !== undefined && view.inside(node, cone).length === 1)
      return { input: view.root(input), present: value }
  }
  return null
}
