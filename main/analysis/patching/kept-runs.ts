/**
 * Runs in which all components but a kept set are replaced, as rows of one batch. On compiled blocks a row begins at the
 * first block in which something is replaced, and where a block keeps nothing of its own it adds the same to every row, and
 * is run once for all.
 */
import { BlockStack } from '../../runtime'
import type { PortsByHook } from '../../runtime/interventions'
import type { PortValue } from '../../runtime/ports'
import type { BaseRun } from '../../runtime/wave/base'
import { throughBlock } from '../../runtime/wave/block-rows'
import { componentSites } from '../../../preload/sweep'
import { keptAt, replacingPort, type Kept } from './kept-ports'
import type { RunPair } from './pairs'
import { layerOf } from './path-blocks'
import { runRows } from './rows'
import type { SiteRunner } from './runner'
import type { SweepSite } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'

export interface KeptRequest {
  readonly model: PatchingModel
  readonly runner: SiteRunner
  readonly pair: RunPair
  /** The components. */
  readonly hooks: readonly string[]
  /** A set of kept sites for each run. */
  readonly sets: readonly (readonly SweepSite[])[]
  readonly signal?: AbortSignal
}

export interface KeptRun {
  readonly metrics: readonly number[]
  /** Heads and whole outputs that are replaced at some position. */
  readonly replaced: number
}

/** By hook point what it keeps. */
type Row = ReadonlyMap<string, Kept>

/** Runs each set. */
export async function keptRuns(request: KeptRequest): Promise<KeptRun[]> {
  const { model, runner, pair, hooks, sets, signal } = request
  const rows = sets.map((sites): Row => new Map(hooks.map((hook) => [hook, keptAt(hook, sites, pair)])))
  const { tokens, base } = pair.base
  const { runnable } = model
  const blocks = runner.way === 'wave' && runnable instanceof BlockStack && base !== null
  const ending = blocks
    ? residualStart(runnable, await byBlocks(runnable, base, rows, request))
    : {
        start: { kind: 'tokens', rows: sets.map(() => tokens) } as const,
        ports: portsOf(hooks, rows, pair, pair.base.ports),
      }
  const { logits } = await runRows(runnable, { ...ending, signal }, pair.reads)
  return rows.map((row, i) => ({
    metrics: pair.valuesOf(logits[i]),
    replaced: [...row.values()].reduce((sum, { replaced }) => sum + replaced, 0),
  }))
}

/** The unembedding alone. */
const residualStart = ({ spec, dModel }: BlockStack, rows: readonly Float32Array[]) => {
  const [{ length: size }] = rows
  const data = new Float32Array(rows.length * size)
  rows.forEach((row, i) => data.set(row, i * size))
  const residual = { shape: [rows.length, size / dModel, dModel], data }
  const lengths = rows.map(() => size / dModel)
  return { start: { kind: 'residual', layer: spec.blocks.length, residual, lengths } as const }
}

/** The last residual stream of each row, [pos, d_model]. */
async function byBlocks(
  stack: BlockStack,
  base: BaseRun,
  rows: readonly Row[],
  { pair, hooks, signal }: KeptRequest,
): Promise<Float32Array[]> {
  // null as long as a row is as the base
  const streams = rows.map((): Float32Array | null => null)
  const layers = stack.spec.blocks.length
  for (let layer = 0; layer < layers; layer++) {
    const input = base.residual(layer)
    const here = hooks.filter((hook) => layerOf(hook) === layer)
    const keeps = (row: Row, what: 'all' | 'none'): boolean =>
      here.every((hook) => row.get(hook)?.[what] === true)
    const run: number[] = []
    const same: number[] = []
    const adds = addsTheSame(stack, layer, here)
    rows.forEach((row, i) => {
      if (streams[i] === null && keeps(row, 'all')) return
      if (adds && keeps(row, 'none')) same.push(i)
      else run.push(i)
    })
    // One of those that get the same is run with the others; what it gets is everybody's.
    const indices = [...run, ...same.slice(0, 1)]
    if (indices.length === 0) continue
    const inputs = indices.map((i) => streams[i] ?? input)
    const ports = portsOf(
      here,
      indices.map((i) => rows[i]),
      pair,
    )
    const out = await throughBlock(stack, layer, { rows: inputs, ports, signal })
    for (const i of same.slice(1))
      streams[i] = plusChange(streams[i] ?? input, inputs[run.length], out.rows[run.length])
    indices.forEach((i, at) => (streams[i] = out.rows[at]))
  }
  return streams.map((stream) => stream ?? base.residual(layers))
}

/** Whether a block all of whose components are replaced adds the same to every row. */
function addsTheSame({ spec }: BlockStack, layer: number, replaced: readonly string[]): boolean {
  const { topology } = spec.blocks[layer]
  const has = (component: 'z' | 'attn_out' | 'mlp_out'): boolean =>
    replaced.includes(`blocks.${layer}.${componentSites[component]}`)
  return (
    (topology === 'sequential' || topology === 'parallel') && has('mlp_out') && (has('z') || has('attn_out'))
  )
}

const plusChange = (x: Float32Array, from: Float32Array, to: Float32Array): Float32Array =>
  x.map((value, i) => value + (to[i] - from[i]))

/** Ports that put the source's value everywhere but at what each row keeps. */
function portsOf(
  hooks: readonly string[],
  rows: readonly Row[],
  pair: RunPair,
  before: PortsByHook = new Map(),
): PortsByHook {
  const ports = new Map<string, PortValue[]>([...before].map(([hook, values]) => [hook, [...values]]))
  for (const hook of hooks) {
    const kept = rows.flatMap((row) => row.get(hook) ?? [])
    ports.set(hook, [...(ports.get(hook) ?? []), replacingPort(need(pair.source, hook), kept)])
  }
  return ports
}
