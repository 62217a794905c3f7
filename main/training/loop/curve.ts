/** The curve of a training run: every step's loss and metrics, and the evaluations; as CSV, JSON and SVG. */
import { writeWhole } from '../../files/durable-file'
import { curvePicture } from './curve-picture'
import type { EvaluationRecord, StepRecord } from './types'

export class Curve {
  readonly steps: StepRecord[] = []
  readonly evaluations: EvaluationRecord[] = []

  add(record: StepRecord): void {
    this.steps.push(record)
  }

  /** Names of the further numbers, in order of appearance. */
  get metricNames(): string[] {
    return [...new Set(this.steps.flatMap(({ metrics }) => Object.keys(metrics)))]
  }

  /** Mean loss of the last `count` steps. */
  recentLoss(count: number): number {
    const recent = this.steps.slice(-count)
    return recent.reduce((sum, { loss }) => sum + loss, 0) / Math.max(1, recent.length)
  }

  /** step,loss,rate,gradient_norm,… a line a step. Names of metrics are ours, never texts from outside. */
  csv(): string {
    const names = this.metricNames
    const lines = this.steps.map(({ step, loss, rate, gradientNorm, metrics }) =>
      [step, loss, rate, gradientNorm, ...names.map((name) => metrics[name] ?? '')].join(','),
    )
    return [['step', 'loss', 'rate', 'gradient_norm', ...names].join(','), ...lines, ''].join('\n')
  }

  json(): string {
    return JSON.stringify({ steps: this.steps, evaluations: this.evaluations }, null, 1)
  }

  /** Writes `<base>.csv`, `<base>.json` and `<base>.svg`, each whole. */
  async write(base: string): Promise<void> {
    await writeWhole(`${base}.csv`, this.csv())
    await writeWhole(`${base}.json`, this.json())
    await writeWhole(`${base}.svg`, curvePicture(this.steps))
  }
}
