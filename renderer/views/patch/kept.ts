/** The set of heads and MLPs that a scrubbing check keeps. */
import type { PatchPlace } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { hookName } from '../../../preload/hooks'
import type { Sizes } from './receivers'

/** Heads and MLPs, or whole attention outputs and MLPs. */
export type Grain = 'heads' | 'layers'

/** A component that writes to the residual stream: a head, a whole attention sublayer, an MLP. */
export interface Component {
  kind: 'head' | 'attention' | 'mlp'
  layer: number
  /** Of heads. */
  head: number | null
}

export const componentText = ({ kind, layer, head }: Component): string =>
  kind === 'head' ? `L${layer}H${head}` : `L${layer} ${kind === 'mlp' ? 'mlp' : 'attn'}`

export const componentPlace = ({ kind, layer, head }: Component): PatchPlace =>
  kind === 'mlp'
    ? { hook: hookName({ layer, site: 'hook_mlp_out' }) }
    : kind === 'attention'
      ? { hook: hookName({ layer, site: 'hook_attn_out' }) }
      : { hook: hookName({ layer, site: 'attn.hook_z' }), ...(head === null ? {} : { head }) }

/** All of them, layer by layer: the columns of a map are the heads (or the attention output), then the MLP. */
export const everyComponent = ({ layers, heads }: Sizes, grain: Grain): Component[] =>
  Array.from({ length: layers }, (_, layer) => [
    ...(grain === 'heads'
      ? Array.from({ length: heads }, (_, head): Component => ({ kind: 'head', layer, head }))
      : [{ kind: 'attention', layer, head: null } satisfies Component]),
    { kind: 'mlp', layer, head: null } satisfies Component,
  ]).flat()

/** What the request calls the components of a grain. */
export const componentsOf = (grain: Grain): ('z' | 'attn_out' | 'mlp_out')[] =>
  grain === 'heads' ? ['z', 'mlp_out'] : ['attn_out', 'mlp_out']

const refuse = (what: string, next: string): PatchbayError =>
  new PatchbayError('input.invalid', `${what}.`, { next, field: 'keep' })

/**
 * @param text components between commas: "L3H1, L2 mlp, L0 attn"; "L2" alone is all of a layer
 * @throws PatchbayError `input.invalid` for what is none, or is of the other grain
 */
export function keptOf(text: string, sizes: Sizes, grain: Grain): Component[] {
  const every = everyComponent(sizes, grain)
  const found = new Set<Component>()
  for (const word of text.split(/[,;\n]/)) {
    const written = word.trim()
    if (written === '') continue
    const shown = JSON.stringify(written.slice(0, 40))
    const [, layerText, headText, kind] =
      /^L(\d{1,4})\s*(?:H\s*(\d{1,4}))?\s*(mlp|attn)?$/i.exec(written) ?? []
    if (layerText === undefined || (headText !== undefined && kind !== undefined))
      throw refuse(`${shown} is no component`, 'Write for instance: L3H1, L2 mlp, L0 attn.')
    const matching = every.filter(
      (one) =>
        one.layer === Number(layerText) &&
        (headText === undefined || one.head === Number(headText)) &&
        (kind === undefined || (one.kind === 'mlp') === (kind.toLowerCase() === 'mlp')),
    )
    if (matching.length === 0)
      throw refuse(
        `${shown} is none of the ${every.length} components`,
        grain === 'layers' && headText !== undefined
          ? 'Choose heads as the grain, or whole sublayers.'
          : `There are ${sizes.layers} layers with ${sizes.heads} heads, counted from 0.`,
      )
    matching.forEach((one) => found.add(one))
  }
  return every.filter((one) => found.has(one))
}

/** Components whose value has at least this magnitude. @param values in the order of `everyComponent`; NaN is none */
export const aboveThreshold = (
  every: readonly Component[],
  values: ArrayLike<number>,
  threshold: number,
): Component[] => every.filter((_, i) => Math.abs(values[i]) >= threshold)
