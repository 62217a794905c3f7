/** Keys of a tree (WAI-ARIA tree pattern): arrows move, right opens, left closes or goes up, Enter chooses. */
import type { TreeRow } from './tree'

export type TreeAct =
  { do: 'move'; to: number } | { do: 'open' | 'close'; group: string } | { do: 'choose'; at: number }

/** What a key does at row `at`; null where it does nothing. */
export function treeKey(rows: readonly TreeRow[], at: number, key: string): TreeAct | null {
  const row = rows.at(at)
  if (row === undefined) return null
  const last = rows.length - 1
  switch (key) {
    case 'ArrowDown':
      return { do: 'move', to: Math.min(last, at + 1) }
    case 'ArrowUp':
      return { do: 'move', to: Math.max(0, at - 1) }
    case 'PageDown':
      return { do: 'move', to: Math.min(last, at + 12) }
    case 'PageUp':
      return { do: 'move', to: Math.max(0, at - 12) }
    case 'Home':
      return { do: 'move', to: 0 }
    case 'End':
      return { do: 'move', to: last }
    case 'ArrowRight':
      if (row.kind !== 'group') return null
      return row.open ? { do: 'move', to: Math.min(last, at + 1) } : { do: 'open', group: row.id }
    case 'ArrowLeft': {
      if (row.kind === 'group') return row.open ? { do: 'close', group: row.id } : null
      const parent = rows.slice(0, at).findLastIndex((above) => above.kind === 'group')
      return parent < 0 ? null : { do: 'move', to: parent }
    }
    case 'Enter':
    case ' ':
      return { do: 'choose', at }
    default:
      return null
  }
}
