/**
 * The two runs of path patching. On compiled blocks the first goes block by block, and the second begins where the first
 * receiver is; elsewhere both are ordinary runs.
 */
import type { Tensor } from '../../../preload/tensor'
import { BlockStack } from '../../runtime'
import { hookDims } from '../../../preload/hooks'
import { narrowed, offsetsOf, selectedAxes, type PatchSite } from '../../runtime/wave/site'
import type { Frozen } from './frozen'
import type { RunPair } from './pairs'
import { hear, layerOf } from './path-blocks'
import { receivingPorts, sendingPorts } from './path-ports'
import { runRows } from './rows'
import type { SiteRunner } from './runner'
import type { SweepSite } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'

export interface PathContext {
  readonly model: PatchingModel
  readonly runner: SiteRunner
  /** Whose blocks are run one by one; null where there are none, or what is sent or received lies outside of them. */
  readonly stack: BlockStack | null
  readonly receivers: readonly SweepSite[]
  readonly frozen: Frozen
  readonly signal?: AbortSignal
}

/** @param hooks of senders and receivers */
export const stackFor = (
  { runnable }: PatchingModel,
  { way }: SiteRunner,
  hooks: readonly string[],
): BlockStack | null =>
  way === 'wave' && runnable instanceof BlockStack && hooks.every((hook) => layerOf(hook) !== -1)
    ? runnable
    : null

/** Values of the metrics for each sender. */
export async function through(
  context: PathContext,
  pair: RunPair,
  senders: readonly PatchSite[],
): Promise<number[][]> {
  const { stack, receivers } = context
  const { base } = pair.base
  const captures = await firstRun(context, pair, senders)
  if (stack === null || base === null) return ordinary(context, pair, captures, senders.length)
  const heard = heardAt(receivers)
  return heard.length === 1 && byPosition(receivers)
    ? asSites(context, pair, captures, senders.length)
    : suffix(context, pair, base.residual(Math.min(...heard.map(layerOf))), captures, senders.length)
}

/** What each sender's first run computes at the receivers' hook points, [sender, …] by name. */
export async function firstRun(
  { model, stack, receivers, frozen, signal }: PathContext,
  pair: RunPair,
  senders: readonly PatchSite[],
): Promise<ReadonlyMap<string, Tensor>> {
  const heard = heardAt(receivers)
  const { base, tokens, ports } = pair.base
  if (stack !== null && base !== null) return hear(stack, { pair, base, senders, heard, frozen, signal })
  const rows = senders.map((sender) => [sender])
  const { captures } = await model.runnable.forward({
    start: { kind: 'tokens', rows: senders.map(() => tokens) },
    captures: heard,
    ports: sendingPorts(rows, pair, frozen.hooks, ports),
    logits: 'none',
    signal,
  })
  return captures
}

const heardAt = (receivers: readonly SweepSite[]): string[] => [...new Set(receivers.map(({ hook }) => hook))]
const byPosition = ([{ point }]: readonly SweepSite[]): boolean => hookDims(point)[1] === 'pos'

async function ordinary(
  { model, receivers, signal }: PathContext,
  pair: RunPair,
  captures: ReadonlyMap<string, Tensor>,
  rows: number,
): Promise<number[][]> {
  const { tokens, ports: before } = pair.base
  const start = { kind: 'tokens', rows: Array.from({ length: rows }, () => tokens) } as const
  const ports = receivingPorts(receivers, captures, rows, tokens.length, before)
  const { logits } = await runRows(model.runnable, { start, ports, signal }, pair.reads)
  return logits.map((row) => pair.valuesOf(row))
}

/** Receivers at one hook point are sites with values of their own: the second run is a wave. */
async function asSites(
  { model, runner, receivers, signal }: PathContext,
  pair: RunPair,
  captures: ReadonlyMap<string, Tensor>,
  rows: number,
): Promise<number[][]> {
  const [{ hook, point }] = receivers
  const before = need(pair.base.activations, hook)
  const heard = need(captures, hook)
  const [length] = before.shape
  const size = before.data.length
  const width = size / length
  const every = Array.from({ length }, (_, position) => position)
  const positions = [...new Set(receivers.flatMap((site) => site.positions ?? every))].sort((a, b) => a - b)
  const places = receivers.map((site) => ({ ...site, positions: site.positions ?? every }))
  const values = Array.from({ length: rows }, () => [...pair.unchanged])
  const sites: PatchSite[] = []
  const rowOf: number[] = []
  for (let row = 0; row < rows; row++) {
    const own = (position: number): Float32Array | null => {
      const value = before.data.slice(position * width, (position + 1) * width)
      let changed = false
      for (const place of places) {
        if (!place.positions.includes(position)) continue
        const axes = selectedAxes({ ...place, positions: [position] }, before.shape)
        for (const at of offsetsOf(axes, before.shape)) {
          value[at - position * width] = heard.data[row * size + at]
          changed ||= heard.data[row * size + at] !== before.data[at]
        }
      }
      return changed ? value : null
    }
    const site = { point, positions, heads: null, units: null, own }
    const small = narrowed(site, model.facts.layers, pair.base.activations, pair.source, pair.reads)
    if (small === null) continue
    sites.push(small)
    rowOf.push(row)
  }
  if (sites.length > 0)
    await runner.sites({
      run: pair.base,
      source: pair.source,
      sites,
      reads: pair.reads,
      tokens: pair.tokens,
      signal,
      onBatch: (batch, logits) => {
        batch.forEach((i, row) => (values[rowOf[i]] = pair.valuesOf(logits[row])))
      },
    })
  return values
}

/** A run from the first receiver's block on, with all receivers held. */
async function suffix(
  { model, receivers, signal }: PathContext,
  pair: RunPair,
  residual: Float32Array,
  captures: ReadonlyMap<string, Tensor>,
  rows: number,
): Promise<number[][]> {
  const { length } = pair.base.tokens
  const data = new Float32Array(rows * residual.length)
  for (let row = 0; row < rows; row++) data.set(residual, row * residual.length)
  const start = {
    kind: 'residual',
    layer: Math.min(...receivers.map(({ hook }) => layerOf(hook))),
    residual: { shape: [rows, length, residual.length / length], data },
    lengths: Array<number>(rows).fill(length),
  } as const
  const ports = receivingPorts(receivers, captures, rows, length)
  const { logits } = await runRows(model.runnable, { start, ports, signal }, pair.reads)
  return logits.map((row) => pair.valuesOf(row))
}
