/** Probing as a job: a linear probe at each layer for a property of texts, judged on held-out ones. */
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { probeInput, type ProbeJob, type ProbeResult } from '../../../preload/training'
import { writeSafetensors } from '../../models/formats/safetensors'
import { textActivations } from '../../steering/text-activations'
import { probeCurve, type LayerExamples } from '../../training/probes/curve'
import { probeSettings } from '../../training/probes/probe'
import type { JobContext, JobKind, JobOutcome } from '../kind'
import { checkExamplesGiven, examplesOf, type ProbeExamples } from './probe-examples'
import { KeptLayers, type KeptLayer } from './probe-layers'
import { positionwise, runsOf, type JobModel, type OpenJobModel } from './job-model'

/** Bytes of activations that are in memory at a time; texts are run again for the layers that do not fit. */
const ACTIVATION_BYTES = 512 * 2 ** 20

/** Paused, it keeps the layers that are done; resuming fits the others. */
export const probeJob = (open: OpenJobModel): JobKind<ProbeJob> => ({
  name: 'probe',
  input: probeInput,
  title: ({ examples, dataset, site, method }) =>
    `Probe ${site} with ${dataset === null ? `${examples.length} texts` : 'a data set'} (${method})`,
  run: async (input, context) => {
    checkExamplesGiven(input)
    const model = await open(input.model, context.signal)
    const examples = await examplesOf(model, input, context.folder, context.signal)
    return new ProbeRun(input, examples, model, context).run()
  },
})

const isCancelled = (error: unknown): boolean =>
  error instanceof PatchbayError && error.code === 'run.cancelled'

/** A layer's hook point. */
interface Site extends ReturnType<typeof positionwise> {
  readonly layer: number
}

/** Texts are a unit of progress for each layer, and so is fitting a layer's probe for each text. */
class ProbeRun {
  private done = 0
  private readonly layers: readonly number[]
  private readonly total: number
  private readonly kept: KeptLayers

  constructor(
    private readonly input: ProbeJob,
    private readonly examples: ProbeExamples,
    private readonly model: JobModel,
    private readonly context: JobContext,
  ) {
    this.layers = input.layers ?? Array.from({ length: model.facts.layers }, (_, layer) => layer)
    this.total = this.layers.length * examples.texts.length * 2
    this.kept = new KeptLayers(context.folder, model.facts.fingerprint)
  }

  async run(): Promise<JobOutcome> {
    const { input, examples, model, context } = this
    if (this.layers.length === 0)
      throw new PatchbayError('hook.unavailable', `No blocks were recognised in ${model.facts.name}.`, {
        field: 'model',
        next: 'Open a model with blocks to probe its layers.',
      })
    // Every hook point is looked up before the first text is run.
    const sites = this.layers.map((layer) => positionwise(model, `blocks.${layer}.${input.site}`))
    const done = new Map<number, KeptLayer>()
    for (const layer of this.layers) {
      const kept = await this.kept.read(layer)
      if (kept !== null) done.set(layer, kept)
    }
    this.advance(done.size * examples.texts.length * 2, `${done.size} layers are done`)
    const left = this.layers.flatMap((layer, i) => (done.has(layer) ? [] : [{ layer, ...sites[i] }]))
    if (left.length > 0 && !(await this.fit(left, done))) return { kind: 'paused' }
    const layers = this.layers.flatMap((layer) => done.get(layer) ?? [])
    const file = path.join(context.folder, 'probe.safetensors')
    await this.save(file, layers)
    const { name: modelName, fingerprint } = model.facts
    const results = layers.map(({ result }) => result)
    return {
      kind: 'done',
      result: {
        kind: 'probe',
        modelName,
        fingerprint,
        layers: results,
        failed: examples.failed,
        failures: examples.failures,
        file,
      } satisfies ProbeResult,
    }
  }

  /** Fits the layers that are left, and keeps each; false where it was paused. */
  private async fit(left: readonly Site[], done: Map<number, KeptLayer>): Promise<boolean> {
    const { input, context } = this
    const { texts } = this.examples
    const layerOf = new Map(left.map(({ hook, layer }) => [hook, layer]))
    try {
      await probeCurve(this.layerExamples(left), probeSettings.parse(input), {
        signal: AbortSignal.any([context.signal, context.pause]),
        onPoint: async (point) => {
          const layer = layerOf.get(point.hook) ?? 0
          done.set(layer, await this.kept.write(point, layer, done.size))
          this.advance(texts.length, `Fitted ${point.hook}`, {
            accuracy: point.result.test.accuracy,
          })
        },
      })
      return true
    } catch (error) {
      if (context.pause.aborted && !context.signal.aborted && isCancelled(error)) return false
      throw error
    }
  }

  /** One layer after the other; the texts are run for as many layers at once as memory allows. */
  private async *layerExamples(sites: readonly Site[]): AsyncGenerator<LayerExamples> {
    const { input, model, context } = this
    const { signal, pause } = context
    const { texts } = this.examples
    const labels = Uint8Array.from(this.examples.labels)
    const [{ width }] = sites
    const together = Math.max(1, Math.floor(ACTIVATION_BYTES / (texts.length * width * 8)))
    for (let start = 0; start < sites.length; start += together) {
      const some = sites.slice(start, start + together)
      let told = 0
      const captured = await textActivations(
        { facts: model.facts, run: runsOf(model, signal) },
        some.map(({ point }) => point),
        texts,
        input.position,
        {
          signal: AbortSignal.any([signal, pause]),
          onTexts: (done) => {
            this.advance((done - told) * some.length, `Ran ${done} of ${texts.length} texts`)
            told = done
          },
        },
      )
      for (const [i, { hook, width: each }] of some.entries()) {
        const features = new Float32Array(texts.length * each)
        captured[i].activations.forEach((row, r) => features.set(row, r * each))
        const ids = texts.map((_, text) => `text ${text} at ${hook}`)
        yield { hook, examples: { features, width: each, labels, ids } }
      }
    }
  }

  private advance(units: number, what: string, numbers: Record<string, number> = {}): void {
    this.done += units
    this.context.report({ done: this.done, total: this.total, what, numbers })
  }

  private async save(file: string, layers: readonly KeptLayer[]): Promise<void> {
    const { model, input } = this
    const tensors = layers.flatMap(({ result: { hook }, direction, intercept }) => [
      { name: `${hook}.direction`, shape: [direction.length], data: Float32Array.from(direction) },
      { name: `${hook}.intercept`, shape: [1], data: Float32Array.of(intercept) },
    ])
    const { position, method, inversePenalty, standardise, heldOut, seed, bos, template } = input
    const settings = { position, method, inversePenalty, standardise, heldOut, seed, bos, template }
    await writeSafetensors(file, tensors, {
      'patchbay.model': model.facts.fingerprint,
      'patchbay.probe': JSON.stringify(settings),
    })
  }
}
