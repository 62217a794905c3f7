/** Which blocks a run computes, and that everything it captures or changes lies in them. */
import { PatchbayError } from '../../preload/errors'
import { parseHook, type HookPoint } from '../../preload/hooks'

export interface Range {
  /** First block that runs. */
  readonly first: number
  /** The run stops before this block. */
  readonly stop: number
  readonly blocks: number
  /** Whether it begins with tokens, and not with a residual stream. */
  readonly embeds: boolean
}

/**
 * @param names canonical hook names
 * @throws PatchbayError `input.invalid` for an impossible range, `hook.unavailable` for a hook point outside of it
 */
export function checkRange({ first, stop, blocks, embeds }: Range, names: Iterable<string>): void {
  if (first > stop || stop > blocks)
    throw new PatchbayError(
      'input.invalid',
      `A run from block ${first} to block ${stop} is not possible: there are ${blocks}.`,
      { next: 'Start at or before the block where the run stops.', field: 'start.layer' },
    )
  const inside = ({ layer, site }: HookPoint): boolean => {
    if (layer !== null) return layer >= first && layer < stop
    return site.startsWith('ln_final') ? stop === blocks : embeds
  }
  for (const name of names) {
    const point = parseHook(name)
    if (point !== null && !inside(point))
      throw new PatchbayError(
        'hook.unavailable',
        `${name} is not computed by a run from block ${first} to before block ${stop}.`,
        { next: 'Start earlier, stop later, or leave it out.', field: name },
      )
  }
}
