/** Probes against scikit-learn's optimum on SmolLM2's residual stream (test/reference/cases/interop/linear_probe). */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors, float32Of } from '../../../main/models/formats/safetensors'
import { rowsOfExamples, type Examples } from '../../../main/training/probes/examples'
import { scoresOf } from '../../../main/training/probes/linear-model'
import { fitLogistic } from '../../../main/training/probes/logistic'
import { fitMeanDifference } from '../../../main/training/probes/mean-difference'
import { accuracy, areaUnderCurve, logLoss } from '../../../main/training/probes/metrics'
import { fitProbe, probeSettings, trainProbe } from '../../../main/training/probes/probe'
import { fitStandardisation, prepared } from '../../../main/training/probes/standardise'
import { casesFolder } from '../../support/cases'

const folder = path.join(casesFolder, 'interop/linear_probe')
const { tensors } = decodeSafetensors(readFileSync(path.join(folder, 'reference.safetensors')))
const { results } = JSON.parse(readFileSync(path.join(folder, 'reference.json'), 'utf8')) as {
  results: Record<string, Record<string, number>>
}

function floats(name: string): Float32Array {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new Error(`The reference has no ${name}.`)
  return float32Of(tensor)
}

const width = 576
const labels = [...floats('labels')]
const isTest = [...floats('test_rows')]
const rowsWhere = (wanted: number): number[] =>
  labels.map((_, row) => row).filter((row) => isTest[row] === wanted)

const examplesOf = (layer: number): Examples => ({ features: floats(`resid_pre.${layer}`), width, labels })

function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0
  let largest = 0
  for (let i = 0; i < b.length; i++) {
    difference = Math.max(difference, Math.abs(a[i] - b[i]))
    largest = Math.max(largest, Math.abs(b[i]))
  }
  return difference / largest
}

describe.each([4, 8, 15, 22, 29])('a probe on the residual stream at block %i', (layer) => {
  const training = rowsOfExamples(examplesOf(layer), rowsWhere(0))
  const test = rowsOfExamples(examplesOf(layer), rowsWhere(1))

  it.each(['raw', 'standardized'])('by logistic regression finds the optimum (%s)', (kind) => {
    const settings = probeSettings.parse({ method: 'logistic', standardise: kind === 'standardized' })
    const model = fitProbe(training, settings)
    expect(relativeError(model.weights, floats(`${kind}.coef.${layer}`))).toBeLessThan(1e-5)
    expect(Math.abs(model.intercept - floats(`${kind}.intercept.${layer}`)[0])).toBeLessThan(1e-4)
    const scores = scoresOf(model, test)
    expect(relativeError(scores, floats(`${kind}.test_score.${layer}`))).toBeLessThan(1e-5)
    const expected = results[`${kind}.${layer}`]
    expect(accuracy(scores, test.labels)).toBeCloseTo(expected.test_accuracy, 12)
    expect(areaUnderCurve(scores, test.labels)).toBeCloseTo(expected.test_auc, 12)
    expect(logLoss(scores, test.labels)).toBeCloseTo(expected.test_log_loss, 5)
    const standardisation = settings.standardise ? fitStandardisation(training) : null
    const fit = fitLogistic(prepared(training, standardisation), width, training.labels, 1)
    expect(fit.gradient).toBeLessThanOrEqual(1e-8)
    expect(Math.abs(fit.objective / expected.objective - 1)).toBeLessThan(1e-6)
  })

  it('standardises as scikit-learn does', () => {
    const { mean, scale } = fitStandardisation(training)
    expect(relativeError(mean, floats(`standardized.mean.${layer}`))).toBeLessThan(1e-6)
    expect(relativeError(scale, floats(`standardized.scale.${layer}`))).toBeLessThan(1e-6)
  })

  it('by difference of means is that difference', () => {
    const { weights } = fitMeanDifference(prepared(training, null), width, training.labels)
    expect(relativeError(weights, floats(`mass_mean.${layer}`))).toBeLessThan(1e-6)
    const model = fitProbe(training, probeSettings.parse({ method: 'mean-difference' }))
    const auc = areaUnderCurve(scoresOf(model, test), test.labels)
    expect(auc).toBeCloseTo(results[`mass_mean.${layer}`].test_auc, 12)
  })
})

describe('a probe with its control', () => {
  it('is far above probes on shuffled labels where there is something to read', () => {
    const settings = probeSettings.parse({ method: 'logistic', controls: 20, seed: 3 })
    const { test, control } = trainProbe(examplesOf(22), settings, rowsWhere(1))
    expect(test.accuracy).toBe(0.95)
    expect(control?.accuracies).toHaveLength(20)
    const mean = (control?.accuracies ?? []).reduce((sum, value) => sum + value / 20, 0)
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.12)
    expect(control?.p).toBeCloseTo(1 / 21, 9)
  })
})
