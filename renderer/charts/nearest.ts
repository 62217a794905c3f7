/** Which points of a plane lie near a place or within a rectangle; a look at every one, 100,000 in well under a millisecond. */

type Point = readonly [number, number]

/**
 * @param unit of one px on both axes, in values
 * @param within px
 * @returns index of the nearest point; null where none is as near
 */
export function nearestPoint(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  place: Point,
  unit: Point,
  within: number,
): number | null {
  let best: number | null = null
  let least = within * within
  for (let i = 0; i < x.length; i++) {
    const across = (x[i] - place[0]) / unit[0]
    const down = (y[i] - place[1]) / unit[1]
    const distance = across * across + down * down
    if (distance <= least) {
      least = distance
      best = i
    }
  }
  return best
}

/** Indices of the points between two corners, both included; points without a place are in none. */
export function inRectangle(x: ArrayLike<number>, y: ArrayLike<number>, a: Point, b: Point): number[] {
  const [left, right] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])]
  const [low, high] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])]
  const inside: number[] = []
  for (let i = 0; i < x.length; i++)
    if (x[i] >= left && x[i] <= right && y[i] >= low && y[i] <= high) inside.push(i)
  return inside
}
