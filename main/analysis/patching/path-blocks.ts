/**
 * The first run of path patching, block by block. While heads are frozen a change stays at its positions, and where MLPs are
 * too it passes a block as it is; so only the blocks of senders and receivers are run whole.
 */
import type { Tensor } from '../../../preload/tensor'
import { throwIfCancelled } from '../../runtime/cancelled'
import type { BaseRun } from '../../runtime/wave/base'
import { throughBlock, throughTail } from '../../runtime/wave/block-rows'
import type { PatchSite } from '../../runtime/wave/site'
import type { BlockStack } from '../../runtime'
import type { Frozen } from './frozen'
import type { RunPair } from './pairs'
import { sendingPorts } from './path-ports'
import { need } from './source'

export interface FirstRun {
  readonly pair: RunPair
  readonly base: BaseRun
  /** Inside blocks. */
  readonly senders: readonly PatchSite[]
  /** Hook points in blocks at which receivers listen. */
  readonly heard: readonly string[]
  readonly frozen: Frozen
  readonly signal?: AbortSignal
}

/** A sender's row behind its block: how its residual stream differs from the base's. */
interface Row {
  readonly index: number
  readonly site: PatchSite
  readonly layer: number
  /** [pos, d_model]; null before the sender's block. */
  change: Float32Array | null
}

/** What each sender's row has at the hook points, [sender, …] by name. */
export async function hear(
  stack: BlockStack,
  { pair, base, senders, heard, frozen, signal }: FirstRun,
): Promise<Map<string, Tensor>> {
  const rows = senders.map((site, index): Row => ({
    index,
    site,
    layer: site.point.layer ?? 0,
    change: null,
  }))
  const all = new Map(
    heard.map((hook) => {
      const { shape, data } = need(pair.base.activations, hook)
      const repeated = new Float32Array(rows.length * data.length)
      for (let row = 0; row < rows.length; row++) repeated.set(data, row * data.length)
      return [hook, { shape: [rows.length, ...shape], data: repeated }]
    }),
  )
  const first = Math.min(...rows.map(({ layer }) => layer))
  const last = Math.max(...heard.map(layerOf))
  for (let layer = first; layer <= last; layer++) {
    throwIfCancelled(signal)
    const captures = heard.filter((hook) => layerOf(hook) === layer)
    const passing = passage(stack, layer, frozen)
    const whole = captures.length > 0 || passing === 'block'
    const active = rows.filter((row) => row.layer <= layer)
    const run = active.filter((row) => whole || row.layer === layer)
    if (passing === 'tail')
      await passTails(
        stack,
        layer,
        base,
        pair,
        active.filter((row) => !run.includes(row)),
      )
    if (run.length === 0) continue
    const input = base.residual(layer)
    const out = await throughBlock(stack, layer, {
      rows: run.map(({ change }) => (change === null ? input : sum(input, change))),
      ports: sendingPorts(
        run.map((row) => (row.layer === layer ? [row.site] : [])),
        pair,
        frozen.hooks.filter((hook) => layerOf(hook) === layer),
      ),
      captures,
      signal,
    })
    const output = base.residual(layer + 1)
    run.forEach((row, i) => (row.change = difference(out.rows[i], output)))
    for (const [hook, { data }] of out.captures) {
      const target = all.get(hook)
      const size = data.length / run.length
      run.forEach(({ index }, i) => target?.data.set(data.subarray(i * size, (i + 1) * size), index * size))
    }
  }
  return all
}

/** How a change gets through a block in which it is not sent and not received. */
function passage({ spec }: BlockStack, layer: number, { kind }: Frozen): 'unchanged' | 'tail' | 'block' {
  if (kind === 'heads') return 'tail'
  const { topology } = spec.blocks[layer]
  return topology === 'sequential' || topology === 'parallel' ? 'unchanged' : 'block'
}

/** Runs what follows the frozen heads at those positions that differ. */
async function passTails(
  stack: BlockStack,
  layer: number,
  base: BaseRun,
  pair: RunPair,
  rows: readonly Row[],
): Promise<void> {
  const places = rows.flatMap((row) =>
    row.site.positions.flatMap((position) => (row.change === null ? [] : [{ change: row.change, position }])),
  )
  if (places.length === 0) return
  const width = stack.dModel
  const heads = need(pair.base.activations, `blocks.${layer}.attn.hook_z`)
  const size = heads.data.length / base.length
  const input = base.residual(layer)
  const output = base.residual(layer + 1)
  const resid = new Float32Array(places.length * width)
  const z = new Float32Array(places.length * size)
  places.forEach(({ change, position }, i) => {
    for (let at = position * width, to = i * width; at < (position + 1) * width; at++, to++)
      resid[to] = input[at] + change[at]
    z.set(heads.data.subarray(position * size, (position + 1) * size), i * size)
  })
  const out = await stack.onGraphs((graphs) =>
    throughTail(
      graphs,
      layer,
      { shape: [places.length, width], data: resid },
      { shape: [places.length, size], data: z },
    ),
  )
  places.forEach(({ change, position }, i) => {
    for (let at = position * width, from = i * width; at < (position + 1) * width; at++, from++)
      change[at] = out[from] - output[at]
  })
}

export const layerOf = (hook: string): number => Number(/^blocks\.(\d+)\./.exec(hook)?.[1] ?? -1)

const sum = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value + b[i])
const difference = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value - b[i])
