/** A place of a sweep, in the terms that the other views select by. */
import type { PatchPlace } from '../../../preload/attribution'
import { parseHook } from '../../../preload/hooks'
import type { SweepPlan } from '../../../preload/sweep'
import { unravel } from '../../../preload/tensor'

export interface Place {
  /** The site's index in the sweep. */
  index: number
  hook: string
  layer: number
  /** Null where all heads, or all positions, are patched at once. */
  head: number | null
  /** In the prompt that is run. */
  position: number | null
  /** Of a dictionary; null where a component is patched. */
  feature: number | null
  /** Null where more than one is patched at once. */
  neuron: number | null
}

/**
 * @param index of a site, row-major in the plan's shape
 * @param sites where the sweep was over a list of places
 */
export function placeAt(
  { axes, shape, hooks }: Pick<SweepPlan, 'axes' | 'shape' | 'hooks'>,
  index: number,
  sites: readonly PatchPlace[] | null = null,
): Place {
  const at = unravel(shape, index)
  const along = (name: string): number | null => {
    const axis = axes.findIndex((candidate) => candidate.name === name)
    return axis === -1 ? null : axes[axis].values[at[axis]]
  }
  // Features have one hook point in common.
  const hook = hooks[Math.min(at[0], hooks.length - 1)]
  const listed = sites?.at(index)
  const only = (values: readonly number[] | undefined): number | null =>
    values?.length === 1 ? values[0] : null
  return {
    index,
    hook,
    layer: along('layer') ?? parseHook(hook)?.layer ?? 0,
    head: along('head') ?? listed?.head ?? null,
    position: along('position') ?? only(listed?.positions),
    feature: along('feature'),
    neuron: along('unit') ?? only(listed?.units),
  }
}

/** "blocks.3.attn.hook_z, head 2, position 7" */
export const placeText = ({ hook, head, position, feature, neuron }: Place): string =>
  [
    hook,
    ...(neuron === null ? [] : [`neuron ${neuron}`]),
    ...(feature === null ? [] : [`feature ${feature}`]),
    ...(head === null ? [] : [`head ${head}`]),
    ...(position === null ? [] : [`position ${position}`]),
  ].join(', ')

/** Hook points behind which the attention pattern of the same block is computed anew; and the pattern itself. */
const beforePattern = new Set(['hook_resid_pre', 'attn.hook_q', 'attn.hook_k', 'attn.hook_pattern'])

/** The first layer whose attention a change at a hook point can reach; the last one where no later one is there. */
export function firstAttention(hook: string, layers: number): number {
  const point = parseHook(hook)
  const layer = point?.layer ?? 0
  return Math.min(layers - 1, point !== null && beforePattern.has(point.site) ? layer : layer + 1)
}
