/** The optimisation of a steering vector as a task of the training loop: gradients through the model, a bound on the norm. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { runInput, type InterventionInput, type RunResult } from '../../../preload/run'
import type { Saved } from '../checkpoint'
import type { Stateful, StepResult, TrainingTask } from '../loop/types'
import type { Parameter } from '../optimiser/parameter'
import { randomState, SeededRandom } from '../random'
import type { RunModel } from '../stream/from-model'
import { positionsOf, type SteeredPositions, type SteeringExample } from './examples'
import { lossOf } from './objective'

export interface SteeringSite {
  readonly run: RunModel
  /** Fingerprint of the model. */
  readonly model: string
  /** A hook point of the residual stream, by its canonical name. */
  readonly hook: string
  readonly width: number
  readonly positions: SteeredPositions
  /** Positions before it are not steered. */
  readonly firstPosition: number
}

const savedTask = z.object({ random: randomState, order: z.array(z.number().int().nonnegative()) })

export class SteeringTask implements TrainingTask<readonly SteeringExample[]>, Stateful {
  readonly state = this
  readonly parameters: readonly Parameter[]
  readonly #vector: Float32Array
  readonly #random: SeededRandom
  /** Examples of this round that are still to come. */
  #order: number[] = []

  /** @param batch examples that are run together */
  constructor(
    private readonly site: SteeringSite,
    private readonly examples: readonly SteeringExample[],
    private readonly batch: number,
    private readonly maxNorm: number,
    seed: number,
  ) {
    this.#vector = new Float32Array(site.width)
    this.parameters = [{ name: 'vector', shape: [site.width], data: this.#vector }]
    this.#random = new SeededRandom(seed)
  }

  /** Every example comes once in each round, in an order of its own. */
  async next(): Promise<readonly SteeringExample[]> {
    const count = Math.min(this.batch, this.examples.length)
    while (this.#order.length < count) this.#order.push(...this.#random.order(this.examples.length))
    return this.#order.splice(0, count).map((i) => this.examples[i])
  }

  async compute(batch: readonly SteeringExample[]): Promise<StepResult> {
    const { hook, width } = this.site
    const { metric, gradients } = await runSteered(this.site, batch, this.#vector, true)
    const { shape, data } = gradients[hook]
    const gradient = new Float32Array(width)
    let loss = 0
    batch.forEach((example, row) => {
      const part = lossOf(example, metricAt(metric, row))
      loss += part.loss / batch.length
      for (const position of positionsOf(example, this.site.positions, this.site.firstPosition)) {
        const start = (row * shape[1] + position) * width
        for (let i = 0; i < width; i++) gradient[i] += (part.derivative * data[start + i]) / batch.length
      }
    })
    return { loss, gradients: new Map([['vector', gradient]]), metrics: { norm: normOf(this.#vector) } }
  }

  /** Back onto the ball of the largest norm, where it was left. */
  afterUpdate(): void {
    const norm = normOf(this.#vector)
    if (norm <= this.maxNorm) return
    for (let i = 0; i < this.#vector.length; i++) this.#vector[i] *= this.maxNorm / norm
  }

  get vector(): Float32Array {
    return this.#vector.slice()
  }

  save(): Saved {
    return { tensors: new Map(), state: { random: this.#random.state, order: this.#order } }
  }

  restore({ state }: Saved): void {
    const parsed = savedTask.safeParse(state)
    if (!parsed.success)
      throw new PatchbayError('file.malformed', 'The checkpoint is not one of a steering vector.', {
        next: 'Start again without resuming.',
      })
    this.#random.state = parsed.data.random
    this.#order = parsed.data.order
  }
}

/** log P(continuation | prompt) of each example with `vector` added, in nats. */
export async function steeredLogProbabilities(
  site: SteeringSite,
  examples: readonly SteeringExample[],
  vector: Float32Array,
): Promise<number[]> {
  const { metric } = await runSteered(site, examples, vector, false)
  return examples.map((_, row) => metricAt(metric, row))
}

async function runSteered(
  { run, model, hook, positions, firstPosition, width }: SteeringSite,
  examples: readonly SteeringExample[],
  vector: Float32Array,
  withGradient: boolean,
): Promise<RunResult> {
  const interventions = examples.map((example, row): InterventionInput => ({
    hook,
    rows: [row],
    positions: positionsOf(example, positions, firstPosition),
    operation: { kind: 'add', value: 'vector' },
  }))
  const request = {
    model,
    rows: examples.map(({ prompt, continuation }) => [...prompt, ...continuation]),
    interventions,
    logits: 'none',
    backward: {
      metric: examples.map(({ prompt }) => ({ kind: 'continuation', from: prompt.length })),
      hooks: withGradient ? [hook] : [],
    },
  }
  const tensors = { vector: { shape: [width], data: vector.slice() } }
  return run(runInput.parse({ request, tensors }))
}

function metricAt(metric: RunResult['metric'], row: number): number {
  if (metric === null) throw new PatchbayError('internal', 'A run gave no metric.')
  return metric.data[row]
}

export function normOf(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
}
