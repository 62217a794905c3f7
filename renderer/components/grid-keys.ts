/** Where keys lead in a list of rows, and what they do there. */
export type GridAct = { do: 'move'; to: number } | { do: 'choose' } | { do: 'mark' }

/** What a key does at row `at` of `count`; null where it does nothing. @param page rows in sight */
export function gridKey(at: number, count: number, key: string, page = 20): GridAct | null {
  if (count === 0) return null
  const moves: Record<string, number> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + page,
    PageUp: at - page,
    Home: 0,
    End: count - 1,
  }
  if (Object.hasOwn(moves, key)) return { do: 'move', to: Math.min(count - 1, Math.max(0, moves[key])) }
  if (key === 'Enter') return { do: 'choose' }
  return key === ' ' ? { do: 'mark' } : null
}
