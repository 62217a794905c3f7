/** Probing as a job: a linear probe at each layer for a property of texts, judged on held-out ones. */
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { probeInput, type ProbeJob, type ProbeResult } from '../../../preload/training'
import { throwIfCancelled } from '../../runtime/cancelled'
import { writeSafetensors } from '../../models/formats/safetensors'
import { promptFor } from '../../steering/from-pairs'
import { readableText, textActivations, type EncodedText } from '../../steering/text-activations'
import { probeCurve, type CurvePoint, type LayerExamples } from '../../training/probes/curve'
import { checkClasses } from '../../training/probes/examples'
import { onRaw } from '../../training/probes/linear-model'
import { probeSettings, type Score } from '../../training/probes/probe'
import type { JobContext, JobKind, JobOutcome } from '../kind'
import { positionwise, runsOf, type JobModel, type OpenJobModel } from './job-model'

/** Bytes of activations that are in memory at a time; texts are run again for the layers that do not fit. */
const ACTIVATION_BYTES = 512 * 2 ** 20

/** Paused, it keeps nothing: resuming begins again. */
export const probeJob = (open: OpenJobModel): JobKind<ProbeJob> => ({
  name: 'probe',
  input: probeInput,
  title: ({ examples, site, method }) => `Probe ${site} with ${examples.length} texts (${method})`,
  run: async (input, context) => {
    checkLabels(input)
    const model = await open(input.model, context.signal)
    return new ProbeRun(input, model, context).run()
  },
})

/** Before the model is opened, which takes longer. */
function checkLabels({ examples }: ProbeJob): void {
  if (examples.length === 0)
    throw new PatchbayError('input.invalid', 'There are no texts to fit a probe on.', {
      field: 'examples',
      next: 'Give texts of both classes.',
    })
  checkClasses(
    { features: new Float32Array(0), width: 0, labels: examples.map(({ label }) => label) },
    'given',
  )
}

/** Texts are a unit of progress for each layer, and so is fitting a layer's probe for each text. */
class ProbeRun {
  private done = 0
  private readonly layers: readonly number[]
  private readonly total: number

  constructor(
    private readonly input: ProbeJob,
    private readonly model: JobModel,
    private readonly context: JobContext,
  ) {
    this.layers = input.layers ?? Array.from({ length: model.facts.layers }, (_, layer) => layer)
    this.total = this.layers.length * input.examples.length * 2
  }

  async run(): Promise<JobOutcome> {
    const { input, model, context } = this
    if (this.layers.length === 0)
      throw new PatchbayError('hook.unavailable', `No blocks were recognised in ${model.facts.name}.`, {
        field: 'model',
        next: 'Open a model with blocks to probe its layers.',
      })
    // Every hook point is looked up before the first text is run.
    const sites = this.layers.map((layer) => positionwise(model, `blocks.${layer}.${input.site}`))
    const texts: EncodedText[] = []
    for (const { text } of input.examples) {
      throwIfCancelled(context.signal)
      texts.push(readableText(await model.encode(promptFor(text, input), context.signal)))
    }
    const points: CurvePoint[] = []
    const settings = probeSettings.parse(input)
    try {
      await probeCurve(this.layerExamples(sites, texts), settings, {
        signal: AbortSignal.any([context.signal, context.pause]),
        onPoint: (point) => {
          points.push(point)
          this.advance(input.examples.length, `Fitted ${point.hook}`, {
            accuracy: point.result.test.accuracy,
          })
        },
      })
    } catch (error) {
      if (context.pause.aborted && !context.signal.aborted) return { kind: 'paused' }
      throw error
    }
    const file = path.join(context.folder, 'probe.safetensors')
    await this.save(file, points)
    const { name: modelName, fingerprint } = model.facts
    const layers = points.map((point, i) => layerResult(point, this.layers[i]))
    return {
      kind: 'done',
      result: { kind: 'probe', modelName, fingerprint, layers, file } satisfies ProbeResult,
    }
  }

  /** One layer after the other; the texts are run for as many layers at once as memory allows. */
  private async *layerExamples(
    sites: readonly ReturnType<typeof positionwise>[],
    texts: readonly EncodedText[],
  ): AsyncGenerator<LayerExamples> {
    const { input, model, context } = this
    const { signal, pause } = context
    const labels = Uint8Array.from(input.examples, ({ label }) => label)
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
        yield { hook, examples: { features, width: each, labels } }
      }
    }
  }

  private advance(units: number, what: string, numbers: Record<string, number> = {}): void {
    this.done += units
    this.context.report({ done: this.done, total: this.total, what, numbers })
  }

  private async save(file: string, points: readonly CurvePoint[]): Promise<void> {
    const { model, input } = this
    const tensors = points.flatMap(({ hook, result }) => {
      const { direction, intercept } = onRaw(result.model)
      return [
        { name: `${hook}.direction`, shape: [direction.length], data: Float32Array.from(direction) },
        { name: `${hook}.intercept`, shape: [1], data: Float32Array.of(intercept) },
      ]
    })
    const { position, method, inversePenalty, standardise, heldOut, seed, bos, template } = input
    const settings = { position, method, inversePenalty, standardise, heldOut, seed, bos, template }
    await writeSafetensors(file, tensors, {
      'patchbay.model': model.facts.fingerprint,
      'patchbay.probe': JSON.stringify(settings),
    })
  }
}

function layerResult({ hook, result }: CurvePoint, layer: number): ProbeResult['layers'][number] {
  const { training, test, control } = result
  return {
    layer,
    hook,
    training: scoreResult(training),
    test: scoreResult(test),
    control:
      control === null
        ? null
        : { accuracies: [...control.accuracies], aucs: [...control.aucs], p: control.p },
  }
}

const scoreResult = ({ rows, accuracy, auc, calibration }: Score): ProbeResult['layers'][number]['test'] => ({
  rows,
  accuracy,
  auc,
  calibration: calibration === null ? null : { ...calibration, bins: [...calibration.bins] },
})
