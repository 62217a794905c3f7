/**
 * Finds the insides of an attention sublayer from its softmax: forwards the pattern, z and the output projection,
 * backwards the scores, queries and keys, and beside them the values.
 */
import type { BlockSite } from '../../../preload/hooks'
import type { OnnxNode } from '../../onnx/exported/model'
import { asItIs } from '../../onnx/exported/view'
import type { Dim } from '../../onnx/graph'
import type { Cone, GraphView } from './graph-view'
import { findFusedAttention, isFusedAttention } from './fused-attention'
import { isProduct, layoutTail } from './linear'
import type { Norms } from './norms'
import { operandSites, type Past } from './operands'
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
  /** Whether columns between a row's prompt and what was generated behind it can be masked. */
  readonly gaps: boolean
}

/** From what the insides of attention are found: the product of a pattern with values, or the one operator for all. */
export type Core =
  | {
      readonly kind: 'written'
      readonly softmax: OnnxNode
      /** The pattern as the product reads it. */
      readonly pattern: string
      readonly product: OnnxNode
    }
  | { readonly kind: 'fused'; readonly node: OnnxNode }
type WrittenCore = Extract<Core, { kind: 'written' }>

/** The attention in a branch: softmaxes that are multiplied with something computed, and fused operators. */
export const coresOf = (view: GraphView, cone: Cone): Core[] =>
  cone.nodes.flatMap((node): Core[] => {
    if (isFusedAttention(node)) return [{ kind: 'fused', node }]
    const core = node.op === 'Softmax' ? coreOf(view, node) : null
    return core === null ? [] : [core]
  })

function coreOf(view: GraphView, softmax: OnnxNode): WrittenCore | null {
  let pattern = softmax.outputs[0]
  for (;;) {
    const readers = view.readers(pattern)
    const product = readers.find((node) => isProduct(view, node) && node.inputs[0] === pattern)
    if (product !== undefined) return { kind: 'written', softmax, pattern, product }
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
  axes: Axes,
): Attention | null {
  return core.kind === 'fused'
    ? findFusedAttention(view, norms, cone, core.node, axes)
    : findWritten(view, norms, cone, core, axes)
}

function findWritten(
  view: GraphView,
  norms: Norms,
  cone: Cone,
  core: WrittenCore,
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
  const z = siteAmong(view, layoutTail(view, product.outputs[0]), [batch, pos, heads, headDim])
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
  return { heads, kvHeads: values.count ?? keys.count, headDim, sites, missing, past, gaps: true }
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
