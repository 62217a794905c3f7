import { describe, expect, it } from 'vitest'
import { curvePicture } from '../../../main/training/loop/curve-picture'

const points = (losses: readonly number[]) => losses.map((loss, step) => ({ step, loss }))
const linesOf = (svg: string): [number, number][][] =>
  [...svg.matchAll(/<polyline[^>]* points="([^"]*)"/g)].map(([, line]) =>
    line.split(' ').map((point) => point.split(',').map(Number) as [number, number]),
  )

describe('the picture of a loss curve', () => {
  it('draws every step from left to right, lower where the loss is lower', () => {
    const [each] = linesOf(curvePicture(points([8, 4, 2, 1])))
    expect(each).toHaveLength(4)
    const x = each.map(([at]) => at)
    expect(x).toEqual([...x].sort((a, b) => a - b))
    // Halving the loss is the same way down everywhere on a logarithmic axis.
    const [a, b, c] = [0, 1, 2].map((i) => each[i + 1][1] - each[i][1])
    expect(a).toBeGreaterThan(0)
    expect(Math.max(Math.abs(a - b), Math.abs(b - c))).toBeLessThan(0.2)
  })

  it('draws the mean of the steps around each step', () => {
    const [, mean] = linesOf(curvePicture(points([1, 3, 1, 3, 1, 3, 1, 3]), 2))
    const heights = mean.slice(1, -1).map(([, y]) => y)
    expect(Math.max(...heights) - Math.min(...heights)).toBeLessThan(0.2)
  })

  it('leaves out what is no number, and stays a picture without any steps', () => {
    expect(linesOf(curvePicture(points([2, NaN, 0, 1])))[0]).toHaveLength(2)
    for (const losses of [[], [1]]) expect(curvePicture(points(losses))).not.toMatch(/NaN|Infinity/)
  })

  it('keeps a long run’s lines short', () => {
    const long = points(Array.from({ length: 100_000 }, (_, i) => 1 + 1 / (i + 1)))
    expect(linesOf(curvePicture(long))[0].length).toBeLessThanOrEqual(2000)
  })
})
