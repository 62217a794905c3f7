/**
 * Sites inside a block: the block is run once with a port at their hook point, and what it gives out joins the wave behind
 * it. Where a change stays at its position within the block, sites at different positions share a row.
 */
import { PatchbayError } from '../../../preload/errors'
import { hookDims, hookName, type HookPoint } from '../../../preload/hooks'
import { sizeOf } from '../../../preload/tensor'
import { throwIfCancelled } from '../cancelled'
import type { CompiledGraphs } from '../compiled'
import { ForwardRun } from '../forward'
import { layoutOf, type SharedInputs } from '../layout'
import type { TransformerSpec } from '../../models/spec'
import type { AffinePort } from '../ports'
import type { BaseRun } from './base'
import { throughTail } from './block-rows'
import { isLocal, replace, type Activations, type PatchSite } from './site'

/** Residual stream behind the block at one position, [d_model]; of local sites at their own positions only. */
export type Joined = (position: number) => Float32Array

/** Ports keep arrays as large as the activation, twice: this many tokens at a time. */
const TOKENS = 512

export interface JoinContext {
  readonly spec: TransformerSpec
  readonly graphs: CompiledGraphs
  readonly base: BaseRun
  readonly source: Activations
  /** Angles and biases of `rows` rows of the base's length. */
  readonly shared: (rows: number) => SharedInputs
  readonly signal?: AbortSignal
}

/** Runs block `layer` for sites inside of it. */
export async function join(
  context: JoinContext,
  layer: number,
  sites: readonly PatchSite[],
): Promise<Map<PatchSite, Joined>> {
  const joined = new Map<PatchSite, Joined>()
  const hooks = new Map<string, PatchSite[]>()
  for (const site of sites) {
    const name = hookName(site.point)
    hooks.set(name, [...(hooks.get(name) ?? []), site])
  }
  const most = Math.max(1, Math.floor(TOKENS / context.base.length))
  for (const group of hooks.values()) {
    if (group[0].point.site === 'attn.hook_z') {
      await runTails(context, layer, group, joined)
      continue
    }
    const rows = packed(group)
    for (let start = 0; start < rows.length; start += most)
      await run(context, layer, rows.slice(start, start + most), joined)
  }
  return joined
}

/** Sites that can share a row, together. */
function packed(sites: readonly PatchSite[]): PatchSite[][] {
  if (!isLocal(sites[0].point)) return sites.map((site) => [site])
  const rows: { taken: Set<number>; sites: PatchSite[] }[] = []
  // Of rows that are full nothing more can be had: looking only at the newest keeps this linear.
  const recent = 64
  for (const site of sites) {
    const free = rows.slice(-recent).find(({ taken }) => site.positions.every((p) => !taken.has(p)))
    const row = free ?? { taken: new Set<number>(), sites: [] }
    if (free === undefined) rows.push(row)
    for (const position of site.positions) row.taken.add(position)
    row.sites.push(site)
  }
  return rows.map((row) => row.sites)
}

async function run(
  context: JoinContext,
  layer: number,
  rows: readonly PatchSite[][],
  joined: Map<PatchSite, Joined>,
): Promise<void> {
  const { spec, graphs, base, source, shared, signal } = context
  const { point } = rows[0][0]
  const count = rows.length
  const length = base.length * spec.dModel
  const residual = new Float32Array(count * length)
  for (let row = 0; row < count; row++) residual.set(base.residual(layer).subarray(0, length), row * length)
  const start = {
    kind: 'residual',
    layer,
    residual: { shape: [count, base.length, spec.dModel], data: residual },
    lengths: Array<number>(count).fill(base.length),
  } as const
  const port = replacing(point, rows, source)
  const ports = new Map([[hookName(point), [port]]])
  const request = { start, stopLayer: layer + 1, ports, logits: 'none', signal } as const
  const layout = layoutOf(start.lengths)
  const result = await new ForwardRun(spec, graphs, layout, request, shared(count)).run()
  const { data } = result.residual
  rows.forEach((sites, row) => {
    const output: Joined = (position) => {
      const at = row * length + position * spec.dModel
      return data.subarray(at, at + spec.dModel)
    }
    for (const site of sites) joined.set(site, output)
  })
}

/** Heads' outputs are projected position by position: nothing of attention itself is to be run again. */
async function runTails(
  { spec, graphs, base, source, signal }: JoinContext,
  layer: number,
  sites: readonly PatchSite[],
  joined: Map<PatchSite, Joined>,
): Promise<void> {
  const name = hookName(sites[0].point)
  const own = base.activations.get(name)
  const other = source.get(name)
  if (own === undefined || other === undefined)
    throw new PatchbayError('internal', `The runs did not give ${name}.`)
  const width = spec.dModel
  const size = sizeOf(own.shape.slice(1))
  const places = sites.flatMap((site) => site.positions.map((position) => ({ site, position })))
  const outputs = new Map<PatchSite, Map<number, Float32Array>>(sites.map((site) => [site, new Map()]))
  for (let start = 0; start < places.length; start += TOKENS) {
    throwIfCancelled(signal)
    const part = places.slice(start, start + TOKENS)
    const resid = new Float32Array(part.length * width)
    const z = new Float32Array(part.length * size)
    part.forEach(({ site, position }, i) => {
      resid.set(base.residual(layer).subarray(position * width, (position + 1) * width), i * width)
      z.set(own.data.subarray(position * size, (position + 1) * size), i * size)
      replace({ ...site, positions: [position] }, other, own.shape, (at, value) => {
        z[i * size + at - position * size] = value
      })
    })
    const [tokens, heads] = [
      { shape: [part.length, width], data: resid },
      { shape: [part.length, size], data: z },
    ]
    const out = await throughTail(graphs, layer, tokens, heads)
    part.forEach(({ site, position }, i) =>
      outputs.get(site)?.set(position, out.subarray(i * width, (i + 1) * width)),
    )
  }
  for (const [site, byPosition] of outputs)
    joined.set(site, (position) => {
      const output = byPosition.get(position)
      if (output !== undefined) return output
      throw new PatchbayError('internal', `Position ${position} of ${name} was not run.`)
    })
}

/** keep 0 and the source's value where the row's sites are, else keep 1. */
export function replacing(
  point: HookPoint,
  rows: readonly (readonly PatchSite[])[],
  source: Activations,
): AffinePort {
  const from = source.get(hookName(point)) ?? {
    shape: hookDims(point)
      .slice(1)
      .map(() => 0),
    data: empty,
  }
  const size = sizeOf(from.shape)
  const keep = new Float32Array(rows.length * size).fill(1)
  const value = new Float32Array(rows.length * size)
  rows.forEach((sites, row) => {
    for (const site of sites)
      replace(site, from, from.shape, (at, replaced) => {
        keep[row * size + at] = 0
        value[row * size + at] = replaced
      })
  })
  const shape = [rows.length, ...from.shape]
  return { kind: 'affine', keep: { shape, data: keep }, value: { shape, data: value } }
}

const empty = new Float32Array(0)
