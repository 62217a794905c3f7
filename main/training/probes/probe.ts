/**
 * A probe from data to judgement: fitted on training rows, judged on held-out ones, and compared with probes of the same
 * kind on shuffled labels, which tell what is learned from the rows' number alone.
 */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { SeededRandom } from '../random'
import { checkClasses, checkExamples, rowCount, rowsOfExamples, type Examples } from './examples'
import { scoresOf, type LinearModel } from './linear-model'
import { logisticSteps } from './logistic'
import { fitMeanDifference } from './mean-difference'
import { accuracy, areaUnderCurve, calibrationOf, type Calibration } from './metrics'
import { ridgeSteps } from './ridge'
import { fitStandardisation, prepared } from './standardise'
import { finish, type Steps } from './steps'

export const probeSettings = z.object({
  method: z.enum(['logistic', 'ridge', 'mean-difference']),
  /** C of logistic regression, 1/λ of ridge regression: larger is a weaker penalty. */
  inversePenalty: z.number().positive().default(1),
  standardise: z.boolean().default(false),
  /** Fraction of each class that is held out, where no rows are named. */
  heldOut: z.number().gt(0).lt(1).default(0.25),
  seed: z.number().int().nonnegative().default(0),
  /** Probes on shuffled labels. */
  controls: z.number().int().nonnegative().max(1000).default(10),
})
export type ProbeSettings = z.infer<typeof probeSettings>

/** How a probe does on some rows. */
export interface Score {
  readonly rows: number
  readonly accuracy: number
  readonly auc: number
  /** Null for methods that give no probabilities. */
  readonly calibration: Calibration | null
}

export interface Control {
  /** Of each probe on shuffled labels, on the held-out rows with theirs. */
  readonly accuracies: readonly number[]
  readonly aucs: readonly number[]
  /** (1 + probes at least as accurate as the real one) / (1 + probes): the permutation test's p. */
  readonly p: number
}

export interface ProbeResult {
  readonly model: LinearModel
  readonly training: Score
  readonly test: Score
  readonly control: Control | null
  /** Row numbers that were held out. */
  readonly testRows: readonly number[]
}

/** Fits on all rows given. @throws PatchbayError `input.invalid` for examples of one class, `run.failed` */
export const fitProbe = (examples: Examples, settings: ProbeSettings): LinearModel =>
  finish(fitSteps(examples, settings))

function* fitSteps(examples: Examples, settings: ProbeSettings): Steps<LinearModel> {
  checkClasses(examples, 'training')
  const standardisation = settings.standardise ? fitStandardisation(examples) : null
  const x = prepared(examples, standardisation)
  const { width, labels } = examples
  const { weights, intercept } = yield* fitted(x, width, labels, settings)
  return { weights, intercept, standardisation }
}

function* fitted(
  x: Float64Array,
  width: number,
  labels: ArrayLike<number>,
  { method, inversePenalty }: ProbeSettings,
): Steps<{ weights: Float64Array; intercept: number }> {
  switch (method) {
    case 'logistic':
      return yield* logisticSteps(x, width, labels, inversePenalty)
    case 'ridge':
      return yield* ridgeSteps(x, width, labels, 1 / inversePenalty)
    case 'mean-difference':
      return fitMeanDifference(x, width, labels)
  }
}

/**
 * Fits, judges and controls.
 * @param testRows rows to hold out; a seeded part of each class unless given
 * @throws PatchbayError `input.invalid` for data that can not be learned from (see `checkExamples`, `checkClasses`), or where
 *   a class would have no held-out row
 */
export const trainProbe = (
  examples: Examples,
  settings: ProbeSettings,
  testRows?: readonly number[],
): ProbeResult => finish(probeSteps(examples, settings, testRows))

/** `trainProbe`, step by step. */
export function* probeSteps(
  examples: Examples,
  settings: ProbeSettings,
  testRows: readonly number[] = heldOutRows(examples, settings),
): Steps<ProbeResult> {
  checkExamples(examples)
  checkClasses(examples, 'given')
  checkRows(testRows, rowCount(examples))
  const held = new Set(testRows)
  const trainRows = Array.from({ length: rowCount(examples) }, (_, row) => row).filter(
    (row) => !held.has(row),
  )
  const training = rowsOfExamples(examples, trainRows)
  const test = rowsOfExamples(examples, testRows)
  checkClasses(test, 'held-out')
  const model = yield* fitSteps(training, settings)
  const score = scoreOf(model, test, settings)
  return {
    model,
    training: scoreOf(model, training, settings),
    test: score,
    control: settings.controls === 0 ? null : yield* controlOf(training, test, settings, score.accuracy),
    testRows,
  }
}

/** A seeded part of each class, at least one row of each, in order. */
export function heldOutRows({ labels }: Examples, { heldOut, seed }: ProbeSettings): number[] {
  const random = new SeededRandom(seed)
  return [0, 1]
    .flatMap((label) => {
      const rows = Array.from({ length: labels.length }, (_, row) => row).filter(
        (row) => labels[row] === label,
      )
      const count = Math.min(rows.length - 1, Math.max(1, Math.round(heldOut * rows.length)))
      return count < 1 ? [] : random.sample(rows, count)
    })
    .sort((a, b) => a - b)
}

function checkRows(testRows: readonly number[], rows: number): void {
  const bad = testRows.find(
    (row, i) => !Number.isInteger(row) || row < 0 || row >= rows || testRows.indexOf(row) !== i,
  )
  if (bad !== undefined)
    throw new PatchbayError(
      'input.invalid',
      `Held-out row ${bad} is not one of the ${rows}, or named twice.`,
      {
        next: 'Rows count from 0.',
      },
    )
}

function scoreOf(model: LinearModel, examples: Examples, { method }: ProbeSettings): Score {
  const scores = scoresOf(model, examples)
  const { labels } = examples
  return {
    rows: labels.length,
    accuracy: accuracy(scores, labels),
    auc: areaUnderCurve(scores, labels),
    calibration: method === 'logistic' ? calibrationOf(scores, labels) : null,
  }
}

/** Shuffles the labels of all rows together, keeping which rows are held out; classes keep their sizes overall. */
function* controlOf(
  training: Examples,
  test: Examples,
  settings: ProbeSettings,
  real: number,
): Steps<Control> {
  const random = new SeededRandom(settings.seed + 1)
  const all = [...Array.from(training.labels), ...Array.from(test.labels)]
  const accuracies: number[] = []
  const aucs: number[] = []
  for (let i = 0; i < settings.controls; i++) {
    const shuffled = shuffledWithBothClasses(all, training.labels.length, random)
    const labels = (from: number, to: number): Uint8Array => Uint8Array.from(shuffled.slice(from, to))
    const fitted = yield* fitSteps({ ...training, labels: labels(0, training.labels.length) }, settings)
    yield
    const score = scoreOf(fitted, { ...test, labels: labels(training.labels.length, all.length) }, settings)
    accuracies.push(score.accuracy)
    aucs.push(score.auc)
  }
  const asGood = accuracies.filter((value) => value >= real).length
  return { accuracies, aucs, p: (1 + asGood) / (1 + accuracies.length) }
}

/** A shuffle in which both parts have both classes, as a probe and its AUC need. */
function shuffledWithBothClasses(labels: readonly number[], split: number, random: SeededRandom): number[] {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const shuffled = random.sample(labels, labels.length)
    const parts = [shuffled.slice(0, split), shuffled.slice(split)]
    if (parts.every((part) => part.includes(0) && part.includes(1))) return shuffled
  }
  throw new PatchbayError('input.invalid', 'There are too few examples of one class to shuffle labels.', {
    next: 'Give more examples, or switch the control off.',
  })
}
