/** What an aligned pair of positions is. */
import type { AlignedPair } from '../../preload/views'

/** The same token, another one in its place, or one that only one side has. */
export type AlignedKind = 'same' | 'changed' | 'only-left' | 'only-right'

export function alignedKind({ left, right, same }: AlignedPair): AlignedKind {
  if (left === null) return 'only-right'
  if (right === null) return 'only-left'
  return same ? 'same' : 'changed'
}
