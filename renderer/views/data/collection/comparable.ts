/** Outputs that can stand side by side: the same of each layer. */
import type { CollectionOutput } from '../../../../preload/collections'
import { widthOf } from './output-words'

const rule = ({ asked }: CollectionOutput): string => JSON.stringify([asked.positions, asked.reduction])

/** Outputs of the same positions, reduction and size as one, in the collection's order. */
export function comparable(
  outputs: readonly CollectionOutput[],
  to: CollectionOutput | null,
  most = 200,
): CollectionOutput[] {
  if (to === null) return []
  return outputs
    .filter(
      (each) =>
        widthOf(each) === widthOf(to) && each.dims.length === to.dims.length && rule(each) === rule(to),
    )
    .slice(0, most)
}

/** Short names: what all of them share is left out. */
export function shortNames(names: readonly string[]): string[] {
  const rules = names.map((name) => /[[{].*$/.exec(name)?.[0] ?? '')
  const same = rules.every((text) => text === rules[0])
  return names.map((name, i) => {
    const bare = same ? name.slice(0, name.length - rules[i].length) : name
    return bare.replace(/^blocks\.(\d+)\./, '$1 ').replace(/hook_/g, '')
  })
}
