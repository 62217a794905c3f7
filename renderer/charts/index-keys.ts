/** Arrow keys over the categories of a line or bar chart. */

/** Where a key leads from an index of `count`; null for keys that move nothing. Starts at an end when nothing is selected. */
export function movedIndex(from: number | null, key: string, count: number): number | null {
  if (count === 0) return null
  const last = count - 1
  switch (key) {
    case 'ArrowRight':
    case 'ArrowDown':
      return from === null ? 0 : Math.min(last, from + 1)
    case 'ArrowLeft':
    case 'ArrowUp':
      return from === null ? last : Math.max(0, from - 1)
    case 'Home':
      return 0
    case 'End':
      return last
    default:
      return null
  }
}

export function useIndexKeys(
  count: () => number,
  selected: () => number | null,
  select: (index: number) => void,
): { onKeydown: (event: KeyboardEvent) => void } {
  return {
    onKeydown(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return
      const to = movedIndex(selected(), event.key, count())
      if (to === null) return
      select(to)
      event.preventDefault()
      event.stopPropagation()
    },
  }
}
