/** Directional derivatives of a run's metric, taken at a hook point by adding to what is there. */
import type { BackwardInput } from '../../preload/metric'
import { runRequest, type RunInput, type RunRequestInput } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { ReferenceModel } from './reference-model'

export type Run = Partial<Omit<RunRequestInput, 'model' | 'backward'>> & {
  rows: number[][]
  backward: BackwardInput
}

export const inputOf = (model: ReferenceModel, run: Run, tensors: Record<string, Tensor> = {}): RunInput => ({
  request: runRequest.parse({ model: model.fingerprint, logits: 'none', ...run }),
  tensors,
})

/** Numbers of either sign, the same everywhere. */
export const wave = (length: number, seed: number, scale = 1): Float32Array =>
  Float32Array.from({ length }, (_, i) => scale * Math.sin(12.9898 * (i + 1) + 78.233 * seed))

/**
 * Compares the gradient at a hook point with (m(x + h u) − m(x − h u)) / 2h for a direction u in one row, where m is the
 * metric's sum.
 * @returns the two slopes
 */
export async function slopes(
  model: ReferenceModel,
  run: Run,
  tensors: Record<string, Tensor>,
  hook: string,
  row: number,
  step: number,
): Promise<{ gradient: number; difference: number }> {
  const { backward } = run
  const length = run.rows[row].length
  const result = await model.run(
    inputOf(model, { ...run, backward: { ...backward, hooks: [hook] } }, tensors),
  )
  const gradient = result.gradients[hook]
  const shape = gradient.shape.slice(1)
  const axis = hook.endsWith('pattern') || hook.endsWith('scores') ? 1 : 0
  // What is added lies within the row: its own columns, and keys at or before each query.
  const direction = wave(
    shape.reduce((a, b) => a * b, 1),
    row + 1,
  )
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1)
  for (let i = 0; i < direction.length; i++) {
    const position = Math.floor(i / inner) % shape[axis]
    if (position >= length || (axis === 1 && i % inner > position)) direction[i] = 0
  }
  // An expert that is not chosen is not computed, and has no gradient.
  const values = hook.endsWith('expert_weights') ? await captured() : null
  values?.forEach((value, i) => (direction[i] = value === 0 ? 0 : direction[i]))
  const own = gradient.data.subarray(row * direction.length, (row + 1) * direction.length)
  const sum = async (scale: number): Promise<number> => {
    const cut = columns({ shape, data: direction }, axis, length)
    const shifted = await model.run(
      inputOf(
        model,
        {
          ...run,
          interventions: [
            ...(run.interventions ?? []),
            { hook, rows: [row], operation: { kind: 'add', value: 'direction', scale } },
          ],
        },
        { ...tensors, direction: cut },
      ),
    )
    return Array.from(shifted.metric?.data ?? []).reduce((a, b) => a + b, 0)
  }
  async function captured(): Promise<Float32Array> {
    const { captures } = await model.run(inputOf(model, { ...run, captures: [hook] }, tensors))
    return captures[hook].data.subarray(row * direction.length, (row + 1) * direction.length)
  }
  return {
    gradient: direction.reduce((total, u, i) => total + u * own[i], 0),
    difference: ((await sum(step)) - (await sum(-step))) / (2 * step),
  }
}

/** The first `length` entries of an axis of positions (and of key positions behind it). */
function columns({ shape, data }: Tensor, axis: number, length: number): Tensor {
  const cut = shape.map((dim, i) => (i === axis || (axis === 1 && i === 2) ? length : dim))
  const out = new Float32Array(cut.reduce((a, b) => a * b, 1))
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
  for (let i = 0; i < out.length; i++) {
    let rest = i
    let at = 0
    for (let a = cut.length - 1; a >= 0; a--) {
      at += (rest % cut[a]) * strides[a]
      rest = Math.floor(rest / cut[a])
    }
    out[i] = data[at]
  }
  return { shape: cut, data: out }
}
