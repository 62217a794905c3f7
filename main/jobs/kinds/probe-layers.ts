/**
 * Layers of a probe that are done, a file each in the job's folder: a probe that was paused, or whose process died, fits the
 * others only.
 */
import path from 'node:path'
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { probeLayer, type ProbeResult } from '../../../preload/training'
import { loadCheckpoint, saveCheckpoint } from '../../training/checkpoint'
import type { CurvePoint } from '../../training/probes/curve'
import { onRaw } from '../../training/probes/linear-model'
import type { Score } from '../../training/probes/probe'

export interface KeptLayer {
  readonly result: ProbeResult['layers'][number]
  /** The probe on raw activations: score = x·direction + intercept. */
  readonly direction: Float64Array
  readonly intercept: number
}

const keptState = z.object({ fingerprint: z.string(), result: probeLayer })

export class KeptLayers {
  /**
   * @param folder the job's
   * @param fingerprint of the model: what was fitted on another one is fitted again
   */
  constructor(
    private readonly folder: string,
    private readonly fingerprint: string,
  ) {}

  /** Null where the layer is still to be fitted. @throws PatchbayError `file.malformed`, `file.unreadable` */
  async read(layer: number): Promise<KeptLayer | null> {
    const file = this.#fileOf(layer)
    const saved = await loadCheckpoint(file)
    if (saved === null) return null
    const { tensors } = saved
    const state = keptState.safeParse(saved.state)
    const [direction, intercept] = ['direction', 'intercept'].map((name) => tensors.get(name)?.data)
    if (!state.success || !(direction instanceof Float64Array) || intercept?.length !== 1)
      throw new PatchbayError(
        'file.malformed',
        `What was kept of layer ${layer} is not what the job wrote.`,
        {
          file,
          next: 'Remove the file; the layer is then fitted again.',
        },
      )
    if (state.data.fingerprint !== this.fingerprint) return null
    return { result: state.data.result, direction, intercept: intercept[0] }
  }

  /** @throws PatchbayError `disk.full`, saying that the layers before were kept, `disk.failed` */
  async write(point: CurvePoint, layer: number, before: number): Promise<KeptLayer> {
    const { direction, intercept } = onRaw(point.result.model)
    const result = layerResult(point, layer)
    const tensors = new Map([
      ['direction', { shape: [direction.length], data: direction }],
      ['intercept', { shape: [1], data: Float64Array.of(intercept) }],
    ])
    const state = { fingerprint: this.fingerprint, result }
    await saveCheckpoint(this.#fileOf(layer), { tensors, state }).catch((error: unknown) => {
      if (!(error instanceof PatchbayError) || error.code !== 'disk.full') throw error
      throw new PatchbayError('disk.full', `${error.message} ${keptText(before)}`, {
        file: error.file,
        next: 'Free some space and resume: what was kept is not fitted again.',
        cause: error,
      })
    })
    return { result, direction, intercept }
  }

  #fileOf(layer: number): string {
    return path.join(this.folder, 'layers', `${layer}.safetensors`)
  }
}

const keptText = (layers: number): string =>
  layers === 0 ? 'No layer was kept yet.' : `The ${layers} layers that are done were kept.`

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
