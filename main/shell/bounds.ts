/** Whether a window's remembered place is still one where a person can reach it. */
import type { Rectangle } from 'electron'

/**
 * Remembered bounds, if enough of the title bar would be on one of the displays to take hold of it; a display may be gone.
 * @param areas work areas of the displays, same coordinates
 */
export function visibleBounds(bounds: Rectangle, areas: readonly Rectangle[]): Rectangle | undefined {
  const { x, y, width, height } = bounds
  const reachable = areas.some((area) => {
    const shown = Math.min(x + width, area.x + area.width) - Math.max(x, area.x)
    return shown >= 120 && y >= area.y - 10 && y <= area.y + area.height - 60
  })
  return reachable ? { x, y, width, height } : undefined
}
