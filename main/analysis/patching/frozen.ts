/** What keeps the base's value between senders and receivers. */
import { componentSites, type PathRequest } from '../../../preload/sweep'
import type { PatchingModel } from './subject'

export interface Frozen {
  readonly kind: PathRequest['frozen']
  /** Canonical. */
  readonly hooks: readonly string[]
}

export function frozenOf(model: PatchingModel, kind: PathRequest['frozen']): Frozen {
  const sites = kind === 'heads' ? [componentSites.z] : [componentSites.z, componentSites.mlp_out]
  const hooks = Array.from({ length: model.facts.layers }, (_, layer) =>
    sites.map((site) => model.runnable.hook(`blocks.${layer}.${site}`).name),
  ).flat()
  return { kind, hooks }
}
