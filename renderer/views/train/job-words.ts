/** Results of training in words and numbers. */
import type { JobRecord, LossPoint } from '../../../preload/jobs'
import { trainingResult, type ProbeLayer, type TrainingResult } from '../../../preload/training'
import { formatNumber } from '../../charts/numbers'

/** At most `most` points: neighbouring steps are averaged, and stand at their last step. */
export function thinned(points: readonly LossPoint[], most = 1000): LossPoint[] {
  const size = Math.ceil(points.length / most)
  if (size <= 1) return [...points]
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const some = points.slice(i * size, (i + 1) * size)
    return { step: some[some.length - 1].step, loss: meanOf(some.map(({ loss }) => loss)) }
  })
}

/** The result of a job that is done; null where there is none that this version knows. */
export function resultOf({ result }: JobRecord): TrainingResult | null {
  const parsed = trainingResult.safeParse(result)
  return parsed.success ? parsed.data : null
}

export const meanOf = (values: readonly number[]): number =>
  values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0) / values.length

/** Index of the layer whose probe is best on held-out rows; the first of several. */
export function bestLayer(layers: readonly ProbeLayer[]): number {
  const best = Math.max(...layers.map(({ test }) => test.auc))
  return layers.findIndex(({ test }) => test.auc === best)
}

const number = (value: number | null): string => (value === null ? '–' : formatNumber(value))
const percent = (value: number | null): string => (value === null ? '–' : `${formatNumber(100 * value)} %`)

export interface Statistic {
  label: string
  value: string
}

export function layerStatistics({ hook, test, training, control }: ProbeLayer): Statistic[] {
  const { calibration } = test
  return [
    { label: 'Hook point', value: hook },
    { label: 'Held-out accuracy', value: percent(test.accuracy) },
    { label: 'Held-out AUC', value: number(test.auc) },
    { label: 'Training accuracy', value: percent(training.accuracy) },
    { label: 'Held-out texts', value: String(test.rows) },
    ...(control === null
      ? []
      : [
          { label: 'Shuffled labels', value: percent(meanOf(control.accuracies)) },
          { label: 'p', value: number(control.p) },
        ]),
    ...(calibration === null
      ? []
      : [
          { label: 'Calibration error', value: number(calibration.expectedError) },
          { label: 'Log loss (nats)', value: number(calibration.logLoss) },
        ]),
  ]
}

/** The numbers of a result that has no picture. */
export function resultStatistics(result: TrainingResult): Statistic[] {
  switch (result.kind) {
    case 'probe':
      return [{ label: 'Directions', value: result.file }]
    case 'dictionary': {
      const { statistics, loss } = result
      return [
        { label: 'Hook point', value: result.hook },
        ...(result.outputHook === null ? [] : [{ label: 'Reconstructs', value: result.outputHook }]),
        { label: 'L0', value: number(statistics.l0) },
        { label: 'Explained variance', value: percent(statistics.explainedVariance) },
        { label: 'Dead features', value: percent(statistics.dead) },
        { label: 'Loss recovered', value: percent(loss.recovered) },
        { label: 'Cross-entropy (nats)', value: number(loss.original) },
        { label: 'with the reconstruction', value: number(loss.spliced) },
        { label: 'with zeros', value: number(loss.zeroed) },
        { label: 'Held-out activations', value: String(statistics.rows) },
        { label: 'SAELens folder', value: result.folder },
      ]
    }
    case 'steering': {
      const { before, after } = result
      return [
        { label: 'Hook point', value: result.hook },
        { label: 'Targets’ probability', value: `${percent(before.raised)} → ${percent(after.raised)}` },
        { label: 'Avoided ones’', value: `${percent(before.lowered)} → ${percent(after.lowered)}` },
        { label: 'Norm', value: `${number(result.norm)} of at most ${number(result.maxNorm)}` },
        { label: 'Residual stream’s norm', value: number(result.residualNorm) },
      ]
    }
    case 'storyworld':
      return [{ label: 'Steps', value: String(result.steps) }]
  }
}
