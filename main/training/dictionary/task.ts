/** A dictionary's training as a task of the training loop: batches from the buffer, losses from the graph, what follows an update. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { floatData, floats, Session, type Feeds } from '../../runtime/session'
import type { Saved, SavedTensor } from '../checkpoint'
import type { Stateful, StepResult, TrainingTask } from '../loop/types'
import type { AdamW } from '../optimiser/adamw'
import type { Parameter } from '../optimiser/parameter'
import { randomState, SeededRandom } from '../random'
import { ShuffleBuffer } from '../stream/shuffle-buffer'
import type { ActivationChunk, ActivationSource } from '../stream/source'
import type { DictionaryConfig } from './config'
import { normaliseRows, removeParallel } from './decoder'
import { hasUnitDecoder, initialParameters } from './initial'
import { resample } from './resample'
import type { SavedDictionary } from './saelens-folder'
import { folded, scaleOf } from './scale'
import type { DictionarySettings } from './settings'
import { constantInput, dictionaryTrainingGraph, gradientOutput } from './training-graph'

const savedTask = z.object({
  buffer: z.unknown(),
  random: randomState,
  inputScale: z.number().positive(),
  outputScale: z.number().positive(),
  step: z.number().int().nonnegative(),
})

const scalars = ['loss', 'squared_error', 'penalty', 'l0', 'variance'] as const

export class DictionaryTask implements TrainingTask<ActivationChunk>, Stateful {
  readonly state = this
  readonly #random: SeededRandom
  /** Rows since each feature was last active. */
  readonly #silent: Float64Array
  #inputScale: number
  #outputScale: number
  #step = 0
  #last: { batch: ActivationChunk; rowErrors: Float32Array } | null = null

  private constructor(
    private readonly config: DictionaryConfig,
    private readonly settings: DictionarySettings,
    private readonly buffer: ShuffleBuffer,
    private readonly session: Session,
    readonly parameters: readonly Parameter[],
    scales: { input: number; output: number },
  ) {
    this.#random = new SeededRandom(settings.seed + 2)
    this.#silent = new Float64Array(config.dSae)
    this.#inputScale = scales.input
    this.#outputScale = scales.output
  }

  /** Reads the first rows, from which scale and mean are taken. @throws PatchbayError `input.invalid` where there are none */
  static async create(
    config: DictionaryConfig,
    settings: DictionarySettings,
    source: ActivationSource,
  ): Promise<DictionaryTask> {
    const buffer = new ShuffleBuffer(source, settings.buffer, settings.seed)
    await buffer.fill()
    const { rows, x, y } = buffer.content
    if (rows < settings.rows)
      throw new PatchbayError(
        'input.invalid',
        rows === 0
          ? 'There are no activations to train on.'
          : `There are ${rows} rows of activations, fewer than a batch of ${settings.rows}.`,
        { next: 'Give more prompts.' },
      )
    const scale = (data: Float32Array, width: number): number =>
      settings.scaleActivations ? scaleOf(data, width) : 1
    const scales = { input: scale(x, config.dIn), output: scale(y ?? x, config.dOut) }
    const mean = meanRow(y ?? x, config.dOut, scales.output)
    const parameters = initialParameters(config, settings, mean, new SeededRandom(settings.seed + 1))
    const graph = dictionaryTrainingGraph(config, settings)
    const session = await Session.create(graph, { provider: 'cpu', prepack: true })
    return new DictionaryTask(config, settings, buffer, session, parameters, scales)
  }

  async next(): Promise<ActivationChunk | null> {
    const drawn = await this.buffer.draw(this.settings.rows)
    if (drawn === null) return null
    const scaled = (data: Float32Array, factor: number): Float32Array => data.map((value) => value * factor)
    const y = drawn.y === undefined ? undefined : scaled(drawn.y, this.#outputScale)
    return { rows: drawn.rows, x: scaled(drawn.x, this.#inputScale), y }
  }

  async compute(batch: ActivationChunk): Promise<StepResult> {
    const names = this.parameters.map(({ name }) => gradientOutput(name))
    const out = await this.session.run(this.#feeds(batch), [...scalars, 'fired', 'row_errors', ...names])
    const [loss, squaredError, penalty, l0, variance] = scalars.map((name) => floatData(out[name])[0])
    const fired = floatData(out.fired)
    this.#silent.forEach((rows, i) => (this.#silent[i] = fired[i] > 0 ? 0 : rows + batch.rows))
    this.#last = { batch, rowErrors: floatData(out.row_errors) }
    return {
      loss,
      gradients: new Map(this.parameters.map(({ name }) => [name, floatData(out[gradientOutput(name)])])),
      metrics: {
        squared_error: squaredError,
        penalty,
        l0,
        explained_variance: variance > 0 ? 1 - squaredError / variance : 0,
        dead: this.#dead().length,
      },
    }
  }

  beforeUpdate(gradients: Map<string, Float32Array>): void {
    const gradient = gradients.get('W_dec')
    if (gradient === undefined || !hasUnitDecoder(this.config)) return
    removeParallel(gradient, this.#data('W_dec'), this.config.dOut)
  }

  afterUpdate(step: number, optimiser: AdamW): void {
    if (hasUnitDecoder(this.config)) normaliseRows(this.#data('W_dec'), this.config.dOut)
    this.#step = step + 1
    const { resampleEvery, activation } = this.settings
    const due = resampleEvery !== null && this.#step % resampleEvery === 0
    if (!due || this.#last === null || activation === 'topk' || activation === 'jumprelu') return
    const dead = this.#dead()
    const { config, parameters } = this
    resample(dead, { config, parameters, optimiser, random: this.#random, ...this.#last })
    for (const feature of dead) this.#silent[feature] = 0
  }

  /** The dictionary as it is now, reading activations at their own scale. */
  dictionary(): SavedDictionary {
    const weights = new Map(
      this.parameters.map(({ name, shape, data }) =>
        name === 'log_threshold'
          ? ['threshold', { shape, data: data.map(Math.exp) }]
          : [name, { shape, data: data.slice() }],
      ),
    )
    return { config: this.config, weights: folded(weights, this.#inputScale, this.#outputScale) }
  }

  save(): Saved {
    const { tensors, state } = this.buffer.save()
    const all = new Map<string, SavedTensor>(
      [...tensors].map(([name, tensor]) => [`buffer/${name}`, tensor] as const),
    )
    all.set('silent', { shape: [this.config.dSae], data: this.#silent })
    return {
      tensors: all,
      state: {
        buffer: state,
        random: this.#random.state,
        inputScale: this.#inputScale,
        outputScale: this.#outputScale,
        step: this.#step,
      } satisfies z.input<typeof savedTask>,
    }
  }

  restore({ tensors, state }: Saved): void {
    const parsed = savedTask.safeParse(state)
    const silent = tensors.get('silent')?.data
    if (!parsed.success || silent?.length !== this.config.dSae)
      throw new PatchbayError('file.malformed', 'The checkpoint is not one of a dictionary’s training.', {
        next: 'Start again without resuming.',
      })
    const own = [...tensors].filter(([name]) => name.startsWith('buffer/'))
    this.buffer.restore({
      tensors: new Map(own.map(([name, tensor]) => [name.slice('buffer/'.length), tensor])),
      state: parsed.data.buffer,
    })
    this.#silent.set(silent)
    this.#random.state = parsed.data.random
    this.#inputScale = parsed.data.inputScale
    this.#outputScale = parsed.data.outputScale
    this.#step = parsed.data.step
  }

  async release(): Promise<void> {
    await this.buffer.close()
    await this.session.release()
  }

  #feeds({ rows, x, y }: ActivationChunk): Feeds {
    const { dIn, dOut, dSae } = this.config
    const { sparsity, sparsityWarmUp } = this.settings
    const warm = sparsityWarmUp === 0 ? 1 : Math.min(1, (this.#step + 1) / sparsityWarmUp)
    const feeds: Feeds = {
      x: floats(x, [rows, dIn]),
      sparsity: floats(Float32Array.of(sparsity * warm), []),
    }
    if (y !== undefined) feeds.y = floats(y, [rows, dOut])
    const wanted = new Set(this.session.inputs)
    for (const { name, shape, data } of this.parameters) {
      feeds[name] = floats(data, shape)
      if (wanted.has(constantInput(name))) feeds[constantInput(name)] = floats(data, shape)
    }
    if (wanted.has('dead')) {
      const dead = new Float32Array(dSae)
      for (const feature of this.#dead()) dead[feature] = 1
      feeds.dead = floats(dead, [dSae])
    }
    return feeds
  }

  #dead(): number[] {
    const { deadAfter } = this.settings
    return [...this.#silent.keys()].filter((feature) => this.#silent[feature] >= deadAfter)
  }

  #data(name: string): Float32Array {
    const found = this.parameters.find((parameter) => parameter.name === name)
    if (found === undefined) throw new PatchbayError('internal', `The dictionary has no parameter ${name}.`)
    return found.data
  }
}

/** The mean of rows [rows, width], times `scale`. */
function meanRow(data: Float32Array, width: number, scale: number): Float32Array {
  const sum = new Float64Array(width)
  for (let i = 0; i < data.length; i++) sum[i % width] += data[i]
  return Float32Array.from(sum, (value) => (value * scale * width) / data.length)
}
