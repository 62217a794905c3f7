/**
 * What a compiled graph is made for: which hook points it gives out, and which it lets be changed. Graphs are compiled
 * once for each variant; numbers (vectors, positions, rows) are inputs at run time.
 */
import { blockSites, type BlockSite, type OuterSite } from '../../../preload/hooks'

/**
 * A place where an activation can be changed.
 * affine: x ← keep ⊙ x + value. direction: x ← x + amount ⊙ (target − x·d̂) d̂, on the residual stream.
 */
export type PortKind = 'affine' | 'direction'

export interface Variant<Site extends string = BlockSite | OuterSite> {
  readonly captures: ReadonlySet<Site>
  /** Ports at each hook point, in the order in which they act. */
  readonly ports: ReadonlyMap<Site, readonly PortKind[]>
}

/** No captures and no ports. */
export const plainVariant = <Site extends string>(): Variant<Site> => ({
  captures: new Set(),
  ports: new Map(),
})

/** Hook points that lie inside a block's graph; the two at its ends do not. */
export const graphSites = (Object.keys(blockSites) as BlockSite[]).filter(
  (site) => site !== 'hook_resid_pre' && site !== 'hook_resid_post',
)

/** Equal variants have equal keys. */
export function variantKey(variant: Variant<string>): string {
  const captures = [...variant.captures].sort()
  const ports = [...variant.ports].map(([site, kinds]) => `${site}:${kinds.join('+')}`).sort()
  return `${captures.join(',')}|${ports.join(',')}`
}

/** Whether the graph must compute `site` as a value of its own. */
export const touches = <Site extends string>(variant: Variant<Site>, site: Site): boolean =>
  variant.captures.has(site) || variant.ports.has(site)

/** Names of a port's inputs: keep and value, or direction, amount and target. */
export const portInput = (site: string, index: number, part: string): string => `${site}/${index}/${part}`
