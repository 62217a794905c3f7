/** From what a sweep asks for to its sites: a grid of components, or a list, checked against the model and the prompts. */
import type { PatchPlace } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { parseHook } from '../../../preload/hooks'
import {
  componentSites,
  sweepAxes,
  type SweepFeatures,
  type SweepPlan,
  type SweepTarget,
} from '../../../preload/sweep'
import { sizeOf } from '../../../preload/tensor'
import type { PatchSite } from '../../runtime/wave/site'
import type { PatchingModel } from './subject'

/** A site before it is laid out on a prompt: positions null for all. */
export interface SweepSite extends Omit<PatchSite, 'positions' | 'own'> {
  /** Canonical. */
  readonly hook: string
  readonly positions: readonly number[] | null
  /** Of a dictionary, where it is patched instead of the activation. */
  readonly feature?: number
}

export interface SiteList {
  readonly axes: SweepPlan['axes']
  readonly shape: number[]
  /** Of each layer of a grid, or of each site. */
  readonly hooks: string[]
  readonly count: number
  /** By row-major index. */
  readonly at: (index: number) => SweepSite
}

/** Sites of a sweep at most: their values are kept and shown one by one. */
const MOST = 2_000_000

/**
 * @param lengths of the prompts that are run
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`, `input.invalid` for layers, heads, positions or units outside
 */
export function sitesOf(
  model: PatchingModel,
  target: Exclude<SweepTarget, SweepFeatures>,
  lengths: readonly number[],
): SiteList {
  const list = target.kind === 'grid' ? gridOf(model, target, lengths) : listOf(model, target.sites, lengths)
  if (list.count <= MOST) return list
  throw invalid(`${list.count} sites are more than a sweep can hold (${MOST})`, 'target')
}

function gridOf(
  model: PatchingModel,
  grid: Extract<SweepTarget, { kind: 'grid' }>,
  lengths: readonly number[],
): SiteList {
  const { layers: all } = model.facts
  const component = componentSites[grid.component]
  const layers = chosen(grid.layers, all, 'layers', `${model.facts.name} has ${all} layers`)
  const hooks = layers.map((layer) => resolved(model, `blocks.${layer}.${component}`).hook)
  const { headCount, unitCount } = resolved(model, hooks[0])
  const by = sweepAxes.filter((axis) => grid.by.includes(axis))
  if (by.includes('position')) oneLength(lengths)
  const sizes: Record<(typeof by)[number], number | null> = {
    head: headCount,
    position: lengths[0],
    unit: unitCount,
  }
  const lists = { head: grid.heads, position: grid.positions, unit: grid.units } as const
  const values = sweepAxes.map((axis) => {
    const size = sizes[axis]
    const listed = lists[axis]
    if (size === null) {
      if (listed === undefined && !by.includes(axis)) return null
      throw invalid(`${hooks[0]} has no ${axis}s to choose from`, `target.${axis}s`)
    }
    if (listed === undefined && !by.includes(axis)) return null
    if (axis === 'position') checkIndices(listed ?? [], Math.min(...lengths), `target.positions`)
    return chosen(listed, size, `target.${axis}s`, `${hooks[0]} has ${size} ${axis}s`)
  })
  const [heads, positions, units] = values
  const split = sweepAxes.map((axis, i) => (by.includes(axis) ? (values[i] ?? []) : null))
  const axes: SweepPlan['axes'] = [
    { name: 'layer', values: layers },
    ...sweepAxes.flatMap((name, i) => {
      const along = split[i]
      return along === null ? [] : [{ name, values: along }]
    }),
  ]
  const shape = axes.map((axis) => axis.values.length)
  const at = (index: number): SweepSite => {
    let rest = index
    const pick = (axis: number, whole: readonly number[] | null): readonly number[] | null => {
      const along = split[axis]
      if (along === null) return whole
      const value = along[rest % along.length]
      rest = Math.floor(rest / along.length)
      return [value]
    }
    const unit = pick(2, units)
    const position = pick(1, positions)
    const head = pick(0, heads)
    const hook = hooks[rest]
    return { hook, point: pointOf(hook), positions: position, heads: head, units: unit }
  }
  return { axes, shape, hooks, count: sizeOf(shape), at }
}

/** What is averaged position by position must have common positions. @throws PatchbayError `input.invalid` */
export function oneLength(lengths: readonly number[]): void {
  if (new Set(lengths).size > 1)
    throw invalid(
      'Prompts of different length have no common positions, so they can not be averaged position by position',
      'target.by',
      'Use pairs of one length, or patch all positions at once.',
    )
}

function listOf(model: PatchingModel, places: readonly PatchPlace[], lengths: readonly number[]): SiteList {
  const sites = placesOf(model, places, lengths, 'target.sites')
  const values = Array.from(sites.keys())
  return {
    axes: [{ name: 'site', values }],
    shape: [sites.length],
    hooks: sites.map(({ hook }) => hook),
    count: sites.length,
    at: (index) => sites[index],
  }
}

/** Listed places, checked. @throws PatchbayError as `sitesOf` */
export function placesOf(
  model: PatchingModel,
  places: readonly PatchPlace[],
  lengths: readonly number[],
  field: string,
): SweepSite[] {
  const known = new Map<string, ReturnType<typeof resolved>>()
  return places.map((place, i) => {
    const found = known.get(place.hook) ?? resolved(model, place.hook)
    known.set(place.hook, found)
    const { hook, headCount, unitCount } = found
    const at = `${field}.${i}`
    if (place.head !== undefined) {
      if (headCount === null) throw invalid(`${hook} has no heads to choose from`, `${at}.head`)
      checkIndices([place.head], headCount, `${at}.head`)
    }
    if (place.units !== undefined) {
      if (unitCount === null) throw invalid(`${hook} has no units to choose from`, `${at}.units`)
      checkIndices(place.units, unitCount, `${at}.units`)
    }
    if (place.positions !== undefined) checkIndices(place.positions, Math.min(...lengths), `${at}.positions`)
    return {
      hook,
      point: pointOf(hook),
      positions: place.positions === undefined ? null : sorted(place.positions),
      heads: place.head === undefined ? null : [place.head],
      units: place.units === undefined ? null : sorted(place.units),
    }
  })
}

/** A hook point that can be patched, with the sizes of its axes. */
export function resolved(
  model: PatchingModel,
  name: string,
): { hook: string; headCount: number | null; unitCount: number | null } {
  if (parseHook(name) === null && name.startsWith('value:'))
    throw new PatchbayError(
      'hook.unavailable',
      `Sweeps patch named hook points, not ${name.slice(0, 200)}.`,
      {
        next: 'Choose one of the hook points that the Layers view lists.',
        field: 'hook',
      },
    )
  const { name: hook, dims, sizes, shared } = model.runnable.hook(name)
  if (
    shared ||
    dims[0] !== 'batch' ||
    !dims.some((dim) => dim === 'pos' || dim === 'q_pos') ||
    hook.startsWith('ln_final')
  )
    throw new PatchbayError('hook.unavailable', `${hook} can not be patched position by position.`, {
      next: 'Choose a hook point inside the blocks.',
      field: 'hook',
    })
  const headAxis = dims.findIndex((dim) => dim === 'head' || dim === 'kv_head')
  const last = dims.length - 1
  return {
    hook,
    headCount: headAxis === -1 ? null : sizes[headAxis],
    unitCount: dims[last] === 'k_pos' ? null : sizes[last],
  }
}

export function pointOf(hook: string): PatchSite['point'] {
  const point = parseHook(hook)
  if (point === null) throw new PatchbayError('internal', `${hook} is no hook point.`)
  return point
}

const sorted = (indices: readonly number[]): number[] => [...indices].sort((a, b) => a - b)

/** Listed indices, or all. */
function chosen(listed: readonly number[] | undefined, size: number, field: string, what: string): number[] {
  if (listed === undefined) return Array.from({ length: size }, (_, i) => i)
  checkIndices(listed, size, field, what)
  return [...listed]
}

export function checkIndices(
  indices: readonly number[],
  size: number,
  field: string,
  what = `there are ${size}`,
): void {
  const bad = indices.find((index) => index >= size)
  if (bad !== undefined) throw invalid(`${bad} is out of range: ${what}, counted from 0`, field)
  if (new Set(indices).size !== indices.length) throw invalid('An index is listed twice', field)
}

export const invalid = (sentence: string, field: string, next = 'Correct the request.'): PatchbayError =>
  new PatchbayError('input.invalid', `${sentence}.`, { next, field })
