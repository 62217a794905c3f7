/** Captures that a run computes beside an unchanged block, from values that the block gives out anyway. */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import type { BlockSite } from '../../preload/hooks'
import type { TransformerSpec } from '../models/spec'
import type { CompiledGraphs } from './compiled'
import { derivationOf, directSites, type Derivation } from './graph/derived'
import { runLeased } from './session-pool'

export interface CapturePlan {
  /** Given out by every graph of the block. */
  readonly direct: readonly BlockSite[]
  /** To be compiled into the block's graph. */
  readonly inGraph: ReadonlySet<BlockSite>
  readonly derived: ReadonlyMap<BlockSite, Derivation>
  /** Outputs of the block that the derived ones are computed from. */
  readonly sources: readonly string[]
}

const noCaptures: CapturePlan = { direct: [], inGraph: new Set(), derived: new Map(), sources: [] }

/** How the wanted hook points of a block are had. In a changed block all come from its own graph. */
export function planCaptures(
  spec: TransformerSpec,
  layer: number,
  wanted: readonly BlockSite[],
  changed: boolean,
): CapturePlan {
  if (wanted.length === 0) return noCaptures
  const direct = directSites(spec, layer, wanted)
  const derived = new Map<BlockSite, Derivation>()
  const inGraph = new Set<BlockSite>()
  const sources = new Set<string>()
  for (const site of wanted) {
    if (direct.includes(site)) continue
    const derivation = changed ? null : derivationOf(spec, layer, site)
    if (derivation === null) inGraph.add(site)
    else {
      derived.set(site, derivation)
      for (const source of sourcesOf(derivation)) sources.add(source)
    }
  }
  return { direct, inGraph, derived, sources: [...sources] }
}

function sourcesOf(derivation: Derivation): string[] {
  switch (derivation.kind) {
    case 'scores':
      return [derivation.query, 'present_key']
    case 'result':
      return ['attn.hook_z']
    case 'norm':
      return derivation.input === 'resid' ? [] : [derivation.input]
  }
}

/**
 * Computes the derived captures of a block.
 * @param values the block's outputs by name, and `resid`, its input
 * @param bias what was added to its scores
 */
export async function derive(
  graphs: CompiledGraphs,
  layer: number,
  plan: CapturePlan,
  values: Readonly<Record<string, OrtTensor>>,
  bias: OrtTensor,
): Promise<Map<BlockSite, OrtTensor>> {
  const results = new Map<BlockSite, OrtTensor>()
  const groups = new Map<string, [BlockSite, Derivation][]>()
  for (const entry of plan.derived) {
    const key = groupKey(entry[1])
    groups.set(key, [...(groups.get(key) ?? []), entry])
  }
  for (const group of groups.values()) {
    const sites = group.map(([site]) => site)
    const [, derivation] = group[0]
    const out = await run(graphs, layer, derivation, sites, values, bias)
    for (const site of sites) results.set(site, out[outputName(derivation, site)])
  }
  return results
}

/** Sites with equal keys come out of one run of one graph. */
const groupKey = (derivation: Derivation): string =>
  derivation.kind === 'norm' ? `norm of ${derivation.input} ${derivation.norm.eps}` : derivation.kind

function outputName(derivation: Derivation, site: BlockSite): string {
  if (derivation.kind === 'scores') return site
  if (derivation.kind === 'result') return 'result'
  return site.endsWith('hook_scale') ? 'scale' : 'normalized'
}

async function run(
  graphs: CompiledGraphs,
  layer: number,
  derivation: Derivation,
  sites: readonly BlockSite[],
  values: Readonly<Record<string, OrtTensor>>,
  bias: OrtTensor,
): Promise<Record<string, OrtTensor>> {
  const outputs = sites.map((site) => outputName(derivation, site))
  switch (derivation.kind) {
    case 'scores': {
      const key = values.present_key
      const query = asBatch(values[derivation.query], key.dims[0])
      return runLeased(await graphs.scores(layer, new Set(sites)), { query, key, bias }, outputs)
    }
    case 'result':
      return runLeased(await graphs.result(layer), { z: asTokens(values['attn.hook_z']) }, outputs)
    case 'norm': {
      const x = values[derivation.input]
      const lease = await graphs.norm(derivation.norm, x.dims[x.dims.length - 1])
      return runLeased(lease, { x: asTokens(x) }, outputs)
    }
  }
}

/** The same numbers as [tokens, width]. */
function asTokens(tensor: OrtTensor): OrtTensor {
  const width = tensor.dims[tensor.dims.length - 1]
  return tensor.reshape([tensor.size / width, width])
}

/** The same numbers as [batch, pos, width]. */
function asBatch(tensor: OrtTensor, batch: number): OrtTensor {
  const width = tensor.dims[tensor.dims.length - 1]
  return tensor.reshape([batch, tensor.size / width / batch, width])
}
