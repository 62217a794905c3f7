import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { probeCurve } from '../../../main/training/probes/curve'
import { Cholesky } from '../../../main/training/probes/cholesky'
import type { Examples } from '../../../main/training/probes/examples'
import { onRaw, scoresOf } from '../../../main/training/probes/linear-model'
import { fitLogistic, logisticSteps, sigmoid } from '../../../main/training/probes/logistic'
import { accuracy, areaUnderCurve, calibrationOf, logLoss } from '../../../main/training/probes/metrics'
import { fitProbe, heldOutRows, probeSettings, trainProbe } from '../../../main/training/probes/probe'
import { fitRidge, ridgeSteps } from '../../../main/training/probes/ridge'
import { SeededRandom } from '../../../main/training/random'

/** Rows around ±`signal` along the first axis, with noise of size 1 in all. */
function clouds(rows: number, width: number, signal: number, seed = 1): Examples {
  const random = new SeededRandom(seed)
  const labels = Uint8Array.from({ length: rows }, (_, row) => row % 2)
  const features = Float64Array.from({ length: rows * width }, (_, i) => {
    const label = labels[Math.floor(i / width)] === 1 ? 1 : -1
    return random.normal() + (i % width === 0 ? label * signal : 0)
  })
  return { features, width, labels }
}
const settings = (more: object = {}) => probeSettings.parse({ method: 'logistic', controls: 0, ...more })
const x = (examples: Examples): Float64Array => Float64Array.from(examples.features)

describe('logistic regression', () => {
  it('finds the same optimum by either side of the equations', () => {
    // 30 rows of 29 dimensions are solved in w; with two empty dimensions more they are solved in α.
    const tall = clouds(30, 29, 0.5)
    const features = new Float64Array(30 * 31)
    for (let row = 0; row < 30; row++) features.set(tall.features.subarray(row * 29, row * 29 + 29), row * 31)
    const a = fitLogistic(x(tall), 29, tall.labels, 2)
    const b = fitLogistic(features, 31, tall.labels, 2)
    a.weights.forEach((weight, i) => expect(b.weights[i]).toBeCloseTo(weight, 9))
    expect([b.weights[29], b.weights[30]]).toEqual([0, 0])
    expect(b.intercept).toBeCloseTo(a.intercept, 9)
  })

  it('converges on classes that can be told apart without error, at weak penalties too', () => {
    for (const [rows, width] of [
      [40, 3],
      [12, 60],
    ])
      for (const c of [1e-3, 1, 1e4]) {
        const examples = clouds(rows, width, 8)
        const fit = fitLogistic(x(examples), width, examples.labels, c)
        expect(fit.gradient).toBeLessThanOrEqual(1e-8)
      }
  })

  it('is at a minimum: no direction lowers the objective', () => {
    const examples = clouds(40, 5, 0.4)
    const { weights, intercept, objective } = fitLogistic(x(examples), 5, examples.labels, 0.7)
    const at = (w: Float64Array, b: number): number => {
      const model = { weights: w, intercept: b, standardisation: null }
      return 40 * logLoss(scoresOf(model, examples), examples.labels) + w.reduce((s, v) => s + v * v, 0) / 1.4
    }
    expect(at(weights, intercept)).toBeCloseTo(objective, 9)
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e-3, max: 1e-3, noNaN: true }), { minLength: 6, maxLength: 6 }),
        (d) => {
          expect(
            at(
              weights.map((w, i) => w + d[i]),
              intercept + d[5],
            ),
          ).toBeGreaterThanOrEqual(objective - 1e-12)
        },
      ),
      { seed: 1 },
    )
  })

  it('gives the frequencies of the classes where the activations say nothing', () => {
    const labels = [1, 0, 0, 0]
    const { intercept } = fitLogistic(new Float64Array(8), 2, labels, 1)
    expect(sigmoid(intercept)).toBeCloseTo(0.25, 9)
  })
})

describe('wide probes', () => {
  it.each([
    ['logistic regression, in w', 520, 512],
    ['logistic regression, in α', 500, 1024],
  ])('by %s let others have the thread many times in each step', (_, rows, width) => {
    const examples = clouds(rows, width, 0.3)
    const steps = logisticSteps(x(examples), width, examples.labels, 1)
    let rests = 0
    let next = steps.next()
    for (; next.done !== true; next = steps.next()) rests++
    expect(next.value.gradient).toBeLessThanOrEqual(1e-8)
    // The matrix of each of Newton's steps, and its factors.
    expect(rests).toBeGreaterThan(2 * next.value.iterations + 3)
  })

  it('by ridge regression do too, and come to the same', () => {
    const examples = clouds(520, 512, 0.3)
    const steps = ridgeSteps(x(examples), 512, examples.labels, 1)
    let rests = 0
    let next = steps.next()
    for (; next.done !== true; next = steps.next()) rests++
    expect(rests).toBeGreaterThan(3)
    expect(next.value).toEqual(fitRidge(x(examples), 512, examples.labels, 1))
  })
})

describe('ridge regression', () => {
  it('solves its normal equations, by either side', () => {
    for (const [rows, width] of [
      [20, 4],
      [6, 15],
    ]) {
      const examples = clouds(rows, width, 1)
      const { weights, intercept } = fitRidge(x(examples), width, examples.labels, 0.5)
      const scores = scoresOf({ weights, intercept, standardisation: null }, examples)
      const residual = scores.map((score, row) => score - (examples.labels[row] === 1 ? 1 : -1))
      expect(residual.reduce((sum, r) => sum + r, 0)).toBeCloseTo(0, 9)
      for (let i = 0; i < width; i++) {
        const gradient = residual.reduce((sum, r, row) => sum + r * examples.features[row * width + i], 0)
        expect(gradient + 0.5 * weights[i]).toBeCloseTo(0, 9)
      }
    }
  })
})

describe('scores', () => {
  it('rank positives above negatives, ties half', () => {
    expect(areaUnderCurve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])).toBe(0.75)
    expect(areaUnderCurve([1, 1, 1, 1], [0, 1, 0, 1])).toBe(0.5)
    expect(areaUnderCurve([3, 2, 1], [1, 0, 0])).toBe(1)
  })

  it('are calibrated where the fraction of positives is what they say', () => {
    const random = new SeededRandom(5)
    const scores = Array.from({ length: 20000 }, () => 2 * random.normal())
    const labels = scores.map((score) => (random.float() < sigmoid(score) ? 1 : 0))
    const honest = calibrationOf(scores, labels)
    const boastful = calibrationOf(
      scores.map((score) => 4 * score),
      labels,
    )
    expect(honest.expectedError).toBeLessThan(0.015)
    expect(boastful.expectedError).toBeGreaterThan(0.08)
    expect(boastful.logLoss).toBeGreaterThan(honest.logLoss)
    expect(honest.bins.reduce((sum, { count }) => sum + count, 0)).toBe(20000)
    expect(calibrationOf([-20], [1]).bins[9]).toMatchObject({ count: 0, predicted: null, observed: null })
  })

  it('count a probe right on its side of zero', () => {
    expect(accuracy([1, -1, 2, 0], [1, 1, 1, 0])).toBe(0.75)
  })
})

describe('a probe', () => {
  it('scores raw activations the same whether it was fitted on standardised ones or told so', () => {
    const examples = clouds(30, 4, 1)
    const model = fitProbe(examples, settings({ standardise: true }))
    const { direction, intercept } = onRaw(model)
    const raw = { weights: direction, intercept, standardisation: null }
    scoresOf(model, examples).forEach((score, row) =>
      expect(scoresOf(raw, examples)[row]).toBeCloseTo(score, 12),
    )
  })

  it('holds out a part of each class, the same for the same seed', () => {
    const examples = clouds(40, 2, 1)
    const rows = heldOutRows(examples, settings({ heldOut: 0.25, seed: 9 }))
    expect(rows.map((row) => examples.labels[row]).filter((label) => label === 1)).toHaveLength(5)
    expect(rows).toHaveLength(10)
    expect(heldOutRows(examples, settings({ heldOut: 0.25, seed: 9 }))).toEqual(rows)
    expect(heldOutRows(examples, settings({ heldOut: 0.25, seed: 8 }))).not.toEqual(rows)
  })

  it('is no better than its control where there is nothing to read', () => {
    const { test, control } = trainProbe(clouds(200, 3, 0), settings({ controls: 30 }))
    expect(Math.abs(test.accuracy - 0.5)).toBeLessThan(0.2)
    expect(control?.p).toBeGreaterThan(0.05)
  })

  it.each([
    ['no examples', { features: new Float32Array(), width: 3, labels: [] }, /no examples/],
    ['one class', { ...clouds(8, 2, 1), labels: new Uint8Array(8) }, /All 8 .* negative/],
    ['a row that is not a number', poisoned(NaN), /row 1 \("b"\) is not finite \(NaN at 1\)/],
    ['an infinite row', poisoned(Infinity), /row 1 \("b"\) is not finite/],
    [
      'an id that is there twice',
      { ...clouds(4, 2, 1), ids: ['a', 'b', 'a', 'c'] },
      /"a" is there twice \(rows 0 and 2\)/,
    ],
    ['labels that are none', { ...clouds(4, 2, 1), labels: [0, 1, 2, 1] }, /Label 2 of row 2/],
    ['a shape that does not fit', { ...clouds(4, 2, 1), width: 3 }, /8 numbers, not 4 × 3/],
    ['ids for other rows', { ...clouds(4, 2, 1), ids: ['a'] }, /1 ids for 4/],
  ])('refuses %s in words', (_, examples: Examples, message) => {
    expect(() => trainProbe(examples, settings())).toThrow(message)
  })

  it('refuses held-out rows of one class and rows that are not there', () => {
    expect(() => trainProbe(clouds(8, 2, 1), settings(), [0, 2])).toThrow(
      /All 2 held-out examples are negative/,
    )
    expect(() => trainProbe(clouds(8, 2, 1), settings(), [0, 99])).toThrow(/row 99/)
  })

  it('refuses a single positive example, which leaves none to train on or none to test on', () => {
    const labels = Uint8Array.of(1, 0, 0, 0, 0, 0)
    expect(() => trainProbe({ ...clouds(6, 2, 1), labels }, settings())).toThrow(
      /held-out examples are negative/,
    )
  })
})

describe('a curve over layers', () => {
  it('shows where the information is, with the same rows held out everywhere', async () => {
    const signals = [0, 0.8, 3]
    const layers = signals.map((signal, i) => ({
      hook: `blocks.${i}.hook_resid_pre`,
      examples: clouds(80, 6, signal),
    }))
    const points = await probeCurve(layers, settings({ seed: 2 }))
    expect(points.map(({ hook }) => hook)).toEqual(layers.map(({ hook }) => hook))
    const aucs = points.map(({ result }) => result.test.auc)
    expect(aucs[2]).toBeGreaterThan(0.97)
    expect(aucs[1]).toBeGreaterThan(aucs[0])
    expect(new Set(points.map(({ result }) => result.testRows.join())).size).toBe(1)
  })

  it('stops between layers when it is cancelled', async () => {
    const controller = new AbortController()
    const layers = [0, 1, 2].map((i) => ({ hook: `${i}`, examples: clouds(20, 2, 1) }))
    const seen: string[] = []
    const run = probeCurve(layers, settings(), {
      signal: controller.signal,
      onPoint: ({ hook }) => {
        seen.push(hook)
        controller.abort()
      },
    })
    await expect(run).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(seen).toEqual(['0'])
  })
})

describe('Cholesky', () => {
  it('solves symmetric positive-definite equations and refuses others', () => {
    const a = Float64Array.of(4, 2, 2, 3)
    const x = Cholesky.of(a, 2).solve(Float64Array.of(10, 8))
    expect(x[0]).toBeCloseTo(1.75, 12)
    expect(x[1]).toBeCloseTo(1.5, 12)
    expect(() => Cholesky.of(Float64Array.of(1, 2, 2, 1), 2)).toThrow(/no unique solution/)
  })
})

function poisoned(value: number): Examples {
  const examples = clouds(4, 2, 1)
  const features = x(examples)
  features[3] = value
  return { ...examples, features, ids: ['a', 'b', 'c', 'd'] }
}
