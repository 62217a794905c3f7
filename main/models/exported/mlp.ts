/** Finds the neurons of an MLP sublayer: between its input projections and its output projection. */
import type { BlockSite } from '../../../preload/hooks'
import { asItIs } from '../../onnx/exported/view'
import type { Dim } from '../../onnx/graph'
import type { Cone, GraphView } from './graph-view'
import { isLayout, isLinear, linearTail } from './linear'
import type { Axes, FoundSite } from './sites'

export interface Mlp {
  readonly width: number | null
  readonly sites: ReadonlyMap<BlockSite, FoundSite>
  readonly missing: ReadonlyMap<BlockSite, string>
}

export function findMlp(view: GraphView, cone: Cone, { batch, pos }: Axes): Mlp {
  const sites = new Map<BlockSite, FoundSite>()
  const missing = new Map<BlockSite, string>()
  const nothing = (reason: string): Mlp => {
    for (const site of ['mlp.hook_pre', 'mlp.hook_post'] as const) missing.set(site, reason)
    return { width: null, sites, missing }
  }
  const output = view.wayBack(cone.to, cone).find((value) => {
    const node = view.maker(value)
    return node !== null && isLinear(view, node)
  })
  const product = output === undefined ? null : view.maker(output)
  if (product === null) return nothing('its output does not come out of one projection')
  const post = apart(view, product.inputs[0], [batch, pos])
  const width = post === null ? undefined : view.shape(post)?.at(-1)
  if (post === null || typeof width !== 'number') return nothing('its neurons have no value of their own')
  sites.set('mlp.hook_post', plain(post))

  const sources = sourcesOf(view, cone, post)
  const at = (source: string): string | null => namedAs(view, source, [batch, pos, width])
  const direct = sources.filter((source) => linearTail(view, source).includes(factorOf(view, post, source)))
  if (sources.length === 1) put('mlp.hook_pre', at(sources[0]))
  else if (sources.length === 2 && direct.length === 1) {
    put('mlp.hook_pre', at(sources.find((source) => source !== direct[0]) ?? ''))
    put('mlp.hook_pre_linear', at(direct[0]))
  } else missing.set('mlp.hook_pre', `its neurons come out of ${sources.length} projections`)
  return { width, sites, missing }

  function put(site: BlockSite, value: string | null): void {
    if (value === null) missing.set(site, 'no value has its layout')
    else sites.set(site, plain(value))
  }
}

const plain = (value: string): FoundSite => ({ value, view: asItIs })

/** A value under its layout before it was flattened: one whose leading axes are batch and positions. */
function apart(view: GraphView, value: string, leading: readonly Dim[]): string | null {
  let at = value
  for (;;) {
    const shape = view.shape(at)
    if (shape?.length === 3 && shape.slice(0, 2).join() === leading.join()) return at
    const node = view.maker(at)
    if (node === null || !isLayout(node)) return null
    at = node.inputs[0]
  }
}

/** What neurons are computed from, element by element: results of projections, or parts cut out of one. */
function sourcesOf(view: GraphView, cone: Cone, post: string): string[] {
  const found = new Set<string>()
  const seen = new Set<string>()
  const open = [post]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const node = view.maker(at)
    if (seen.has(at) || node === null || !cone.values.has(at)) continue
    seen.add(at)
    if (isLinear(view, node) || node.op === 'Split' || node.op === 'Slice') found.add(at)
    else open.push(...view.inside(node, cone))
  }
  return [...found]
}

/** The factor of the product `post` that depends on `source`; the source itself where it is none. */
function factorOf(view: GraphView, post: string, source: string): string {
  const node = view.maker(view.root(post))
  const factor = node?.op === 'Mul' ? node.inputs.find((name) => view.dependsOn(name, source)) : undefined
  return factor ?? ''
}

/** The last name of a projection's result that has the wanted shape. */
function namedAs(view: GraphView, source: string, wanted: readonly Dim[]): string | null {
  const fitting = linearTail(view, source).filter((value) => view.shape(value)?.join() === wanted.join())
  return fitting.at(-1) ?? null
}
