/** A loss curve as an SVG file that needs nothing else: each step's loss, and the mean of the steps around it. */

export interface CurvePoint {
  readonly step: number
  readonly loss: number
}

const WIDTH = 720
const HEIGHT = 320
const LEFT = 52
const RIGHT = 24
const TOP = 12
const BOTTOM = 40
/** Points of a line at most: more can not be told apart. */
const MOST_POINTS = 2000

/**
 * @param points in order of steps; losses in nats, drawn on a logarithmic axis
 * @param window steps that the mean is over
 */
export function curvePicture(points: readonly CurvePoint[], window = 50): string {
  const drawn = points.filter(({ loss }) => Number.isFinite(loss) && loss > 0)
  const last = Math.max(1, ...drawn.slice(-1).map(({ step }) => step))
  const losses = drawn.map(({ loss }) => loss)
  const [low, high] = rangeOf(losses)
  const x = (step: number): number => LEFT + (step / last) * (WIDTH - LEFT - RIGHT)
  const y = (loss: number): number =>
    TOP + (Math.log(high / loss) / Math.log(high / low)) * (HEIGHT - TOP - BOTTOM)
  const line = (values: readonly number[]): string => {
    const every = Math.ceil(drawn.length / MOST_POINTS)
    return drawn
      .flatMap(({ step }, i) => (i % every === 0 ? [`${x(step).toFixed(1)},${y(values[i]).toFixed(1)}`] : []))
      .join(' ')
  }
  const rules = ticksOf(low, high).map((tick) => {
    const at = y(tick).toFixed(1)
    return `<line class="rule" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/><text x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${tick}</text>`
  })
  const steps = Array.from({ length: 5 }, (_, i) => Math.round((last * i) / 4)).map(
    (step) =>
      `<text x="${x(step).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${step}</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Loss in nats a token by step">
<style>
svg { color: #1c2530; background: #ffffff; font: 12px sans-serif; }
@media (prefers-color-scheme: dark) { svg { color: #d7dee7; background: #12171d; } }
text { fill: currentColor; }
.rule { stroke: currentColor; stroke-opacity: 0.15; }
polyline { fill: none; stroke: currentColor; stroke-opacity: 0.25; }
.mean { stroke: #2f7fd1; stroke-opacity: 1; stroke-width: 2; }
</style>
${[...rules, ...steps].join('\n')}
<polyline points="${line(losses)}"/>
<polyline class="mean" points="${line(meansOf(losses, window))}"/>
<text x="${WIDTH / 2}" y="${HEIGHT - 6}" text-anchor="middle">step</text>
<text x="14" y="${HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 ${HEIGHT / 2})">loss, nats a token</text>
</svg>
`
}

/** Lowest and highest, with a little air; one is never the other. */
function rangeOf(losses: readonly number[]): [number, number] {
  const low = losses.reduce((least, loss) => Math.min(least, loss), Infinity)
  const high = losses.reduce((most, loss) => Math.max(most, loss), 0)
  return losses.length === 0 ? [0.1, 10] : [low * 0.95, high * 1.05]
}

/** 1, 2 and 5 times powers of ten. */
function ticksOf(low: number, high: number): number[] {
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of [1, 2, 5]) {
      const tick = Number((factor * 10 ** power).toPrecision(1))
      if (tick >= low && tick <= high) ticks.push(tick)
    }
  return ticks
}

/** Mean of each value with those around it, `window` of them where there are as many. */
function meansOf(values: readonly number[], window: number): number[] {
  const sums = [0]
  for (const value of values) sums.push(sums[sums.length - 1] + value)
  return values.map((_, i) => {
    const from = Math.max(0, i - (window >> 1))
    const to = Math.min(values.length, from + window)
    return (sums[to] - sums[from]) / (to - from)
  })
}
