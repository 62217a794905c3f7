/** A training run's state as a checkpoint's content: parameters, moments, curve, the task's own state, and its place. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import type { Saved, SavedTensor } from '../checkpoint'
import type { AdamW } from '../optimiser/adamw'
import type { Parameter } from '../optimiser/parameter'
import type { Curve } from './curve'
import type { Stateful } from './types'

export interface LoopState {
  readonly parameters: readonly Parameter[]
  readonly optimiser: AdamW
  readonly curve: Curve
  readonly task: Stateful
}

const finite = z.number()
const savedState = z.object({
  format: z.literal('patchbay.training'),
  version: z.literal(1),
  identity: z.string(),
  step: z.number().int().nonnegative(),
  updates: z.number().int().nonnegative(),
  metrics: z.array(z.string()),
  evaluations: z.array(z.object({ step: z.number().int(), values: z.record(z.string(), finite) })),
  task: z.unknown(),
})

const curveColumns = ['step', 'loss', 'rate', 'gradientNorm'] as const

export function packState(
  { parameters, optimiser, curve, task }: LoopState,
  identity: string,
  step: number,
): Saved {
  const tensors = new Map<string, SavedTensor>()
  const { moments } = optimiser
  for (const { name, shape, data } of parameters) {
    tensors.set(`parameter/${name}`, { shape, data })
    const own = moments.get(name)
    if (own !== undefined) {
      tensors.set(`m/${name}`, { shape, data: own.m })
      tensors.set(`v/${name}`, { shape, data: own.v })
    }
  }
  const metrics = curve.metricNames
  const rows = curve.steps.flatMap((record) => [
    ...curveColumns.map((column) => record[column]),
    ...metrics.map((name) => record.metrics[name] ?? NaN),
  ])
  const width = curveColumns.length + metrics.length
  tensors.set('curve', { shape: [curve.steps.length, width], data: Float64Array.from(rows) })
  const own = task.save()
  for (const [name, tensor] of own.tensors) tensors.set(`task/${name}`, tensor)
  const state = {
    format: 'patchbay.training',
    version: 1,
    identity,
    step,
    updates: optimiser.updates,
    metrics,
    evaluations: curve.evaluations,
    task: own.state,
  } satisfies z.input<typeof savedState>
  return { tensors, state }
}

/**
 * Puts a checkpoint's content back, and returns its step.
 * @throws PatchbayError `file.malformed`, `model.mismatch` for a checkpoint of another run
 */
export function unpackState(saved: Saved, state: LoopState, identity: string, file: string): number {
  const parsed = savedState.safeParse(saved.state)
  if (!parsed.success) throw malformed(file, 'its state is not that of a training run')
  if (parsed.data.identity !== identity)
    throw new PatchbayError('model.mismatch', 'The checkpoint belongs to a run with other settings.', {
      file,
      next: 'Resume with the settings it was begun with, or choose another folder.',
    })
  const floats = (name: string, length: number): Float32Array => {
    const data = saved.tensors.get(name)?.data
    if (!(data instanceof Float32Array) || data.length !== length) throw malformed(file, `it lacks ${name}`)
    return data
  }
  const moments = new Map<string, { m: Float32Array; v: Float32Array }>()
  for (const { name, data } of state.parameters) {
    data.set(floats(`parameter/${name}`, data.length))
    moments.set(name, { m: floats(`m/${name}`, data.length), v: floats(`v/${name}`, data.length) })
  }
  state.optimiser.restore(parsed.data.updates, moments)
  restoreCurve(state.curve, saved, parsed.data.metrics, file)
  state.curve.evaluations.push(...parsed.data.evaluations)
  const own = [...saved.tensors].filter(([name]) => name.startsWith('task/'))
  state.task.restore({
    tensors: new Map(own.map(([name, tensor]) => [name.slice('task/'.length), tensor])),
    state: parsed.data.task,
  })
  return parsed.data.step
}

function restoreCurve(curve: Curve, saved: Saved, metrics: readonly string[], file: string): void {
  const tensor = saved.tensors.get('curve')
  const width = curveColumns.length + metrics.length
  if (tensor?.shape[1] !== width) throw malformed(file, 'its curve does not fit')
  for (let at = 0; at < tensor.data.length; at += width) {
    const [step, loss, rate, gradientNorm, ...values] = tensor.data.subarray(at, at + width)
    const known = metrics
      .map((name, i) => [name, values[i]] as const)
      .filter(([, value]) => !Number.isNaN(value))
    curve.add({ step, loss, rate, gradientNorm, metrics: Object.fromEntries(known) })
  }
}

const malformed = (file: string, problem: string): PatchbayError =>
  new PatchbayError('file.malformed', `The checkpoint can not be resumed: ${problem}.`, {
    file,
    next: 'Start again without resuming.',
  })
