import { describe, expect, it } from 'vitest'
import { AdamW } from '../../../main/training/optimiser/adamw'
import { accumulated, clipFactor, firstNotFinite, globalNorm } from '../../../main/training/optimiser/clip'
import { rateAt } from '../../../main/training/optimiser/schedule'

const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, groupOf: () => ({ weightDecay: 0.01 }) }
const parameter = (name: string, ...values: number[]) => ({
  name,
  shape: [values.length],
  data: Float32Array.from(values),
})

describe('AdamW', () => {
  it('does what its formula says, update after update', () => {
    const theta = parameter('w', 1, -2, 0.5)
    const optimiser = new AdamW([theta], options)
    const gradients = [
      [0.1, -0.2, 3],
      [-0.4, 0.05, 1],
      [0.2, 0.2, -2],
    ]
    const expected = [1, -2, 0.5]
    const m = [0, 0, 0]
    const v = [0, 0, 0]
    gradients.forEach((gradient, t) => {
      optimiser.update(new Map([['w', Float32Array.from(gradient)]]), 0.1)
      gradient.forEach((g, i) => {
        m[i] = 0.9 * m[i] + 0.1 * g
        v[i] = 0.98 * v[i] + 0.02 * g * g
        const mHat = m[i] / (1 - 0.9 ** (t + 1))
        const vHat = v[i] / (1 - 0.98 ** (t + 1))
        expected[i] -= 0.1 * 0.01 * expected[i]
        expected[i] -= (0.1 * mHat) / (Math.sqrt(vHat) + 1e-8)
      })
    })
    expected.forEach((value, i) => expect(theta.data[i]).toBeCloseTo(value, 5))
    expect(optimiser.updates).toBe(3)
  })

  it('moves by the rate in its first update, whatever the gradient’s size', () => {
    const theta = parameter('w', 0, 0)
    new AdamW([theta], options).update(new Map([['w', Float32Array.of(1e-3, -50)]]), 0.25)
    expect(theta.data[0]).toBeCloseTo(-0.25, 5)
    expect(theta.data[1]).toBeCloseTo(0.25, 5)
  })

  it('decays weights apart from the gradient, and each group in its own way', () => {
    const [decayed, plain] = [parameter('w', 2), parameter('b', 2)]
    const groupOf = ({ name }: { name: string }) =>
      name === 'w' ? { weightDecay: 0.5 } : { weightDecay: 0, rateFactor: 0.1 }
    const optimiser = new AdamW([decayed, plain], { ...options, groupOf })
    const zero = new Float32Array(1)
    optimiser.update(
      new Map([
        ['w', zero],
        ['b', Float32Array.of(1)],
      ]),
      0.1,
    )
    expect(decayed.data[0]).toBeCloseTo(1.9, 6)
    expect(plain.data[0]).toBeCloseTo(2 - 0.01, 6)
  })

  it('goes on from saved moments as if it had never stopped', () => {
    const run = (theta: ReturnType<typeof parameter>, from: AdamW, steps: number) => {
      for (let i = 0; i < steps; i++) {
        const gradient = theta.data.map((x) => 2 * x + 0.3)
        from.update(new Map([['w', gradient]]), 0.05)
      }
    }
    const whole = parameter('w', 1, 2, 3)
    run(whole, new AdamW([whole], options), 10)
    const half = parameter('w', 1, 2, 3)
    const first = new AdamW([half], options)
    run(half, first, 4)
    const second = new AdamW([half], options)
    second.restore(4, first.moments)
    run(half, second, 6)
    expect(half.data).toEqual(whole.data)
  })

  it('refuses a gradient that is missing and moments of something else', () => {
    const optimiser = new AdamW([parameter('w', 1)], options)
    expect(() => optimiser.update(new Map(), 0.1)).toThrow(/no gradient of w/)
    expect(() => optimiser.restore(1, new Map())).toThrow(/no moments of w/)
  })
})

describe('the learning rate', () => {
  const schedule = { peak: 2e-3, warmUp: 200, floor: 0.05 }

  it('warms up in a line and falls along a cosine to its floor', () => {
    expect(rateAt(schedule, 0, 4000)).toBeCloseTo(2e-3 / 200, 12)
    expect(rateAt(schedule, 199, 4000)).toBeCloseTo(
      2e-3 * (0.05 + 0.95 * 0.5 * (1 + Math.cos((Math.PI * 199) / 4000))),
      12,
    )
    expect(rateAt(schedule, 2000, 4000)).toBeCloseTo(2e-3 * (0.05 + 0.95 * 0.5), 12)
    expect(rateAt(schedule, 4000, 4000)).toBeCloseTo(1e-4, 12)
  })

  it('stays where it is with a floor of 1 and no warm-up', () => {
    const constant = { peak: 0.1, warmUp: 0, floor: 1 }
    expect([0, 5, 9].map((step) => rateAt(constant, step, 10))).toEqual([0.1, 0.1, 0.1])
  })
})

describe('gradients as a whole', () => {
  const gradients = new Map([
    ['a', Float32Array.of(3, 0)],
    ['b', Float32Array.of(4)],
  ])

  it('have one norm over all parameters, and are scaled down to the limit only where they exceed it', () => {
    expect(globalNorm(gradients)).toBe(5)
    expect(clipFactor(5, 1)).toBeCloseTo(0.2, 6)
    expect(clipFactor(0.5, 1)).toBe(1)
    expect(clipFactor(5, null)).toBe(1)
  })

  it('add up over micro-batches without changing what was given', () => {
    const sum = accumulated(accumulated(null, gradients), gradients)
    expect([...(sum.get('a') ?? [])]).toEqual([6, 0])
    expect([...(gradients.get('a') ?? [])]).toEqual([3, 0])
  })

  it('name the first parameter with a number that is not finite', () => {
    expect(firstNotFinite(gradients)).toBeNull()
    expect(firstNotFinite(new Map([...gradients, ['c', Float32Array.of(0, NaN)]]))).toBe('c')
    expect(firstNotFinite(new Map([['d', Float32Array.of(Infinity)]]))).toBe('d')
  })
})
