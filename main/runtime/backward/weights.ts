/** Gradients of parameters: from those of the weights that the graphs use to the checkpoint's own tensors. */
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { weightsOf, type TransformerSpec } from '../../models/spec'
import type { Weight } from '../../models/weights'
import { invalid } from './faults'

export class WeightGradients {
  /** Weights whose gradients are wanted, by name. */
  readonly #weights = new Map<string, Weight>()
  readonly #sums = new Map<string, { shape: readonly number[]; data: Float32Array }>()

  /**
   * @param parameters names in the checkpoint
   * @param quantised whether matrices are kept in quantised blocks
   * @throws PatchbayError `input.invalid` for a name that the model does not use, and where the model is quantised
   */
  constructor(spec: TransformerSpec, parameters: readonly string[], quantised: boolean) {
    const field = 'backward.weights'
    if (parameters.length > 0 && quantised)
      throw invalid('The weights of a quantised model have no gradients', 'Open it in float32.', field)
    const uses = new Map<string, Weight[]>()
    if (parameters.length > 0)
      for (const weight of weightsOf(spec))
        uses.set(weight.tensor, [...(uses.get(weight.tensor) ?? []), weight])
    for (const name of parameters) {
      const weights = uses.get(name)
      if (weights === undefined)
        throw invalid(
          `The model has no parameter ${JSON.stringify(name)}`,
          'Choose one that the Layers view lists.',
          field,
        )
      for (const weight of weights) this.#weights.set(weight.name, weight)
      const { stored } = weights[0]
      this.#sums.set(name, { shape: stored, data: new Float32Array(sizeOf(stored)) })
    }
  }

  /** The wanted ones (by name) that a part of the model uses. */
  of(part: Parameters<typeof weightsOf>[0]): Set<string> {
    if (this.#weights.size === 0) return new Set()
    const names = weightsOf(part).map(({ name }) => name)
    return new Set(names.filter((name) => this.#weights.has(name)))
  }

  /** Adds the gradient of one weight to its parameter's: parameters may be used in several places. */
  add(name: string, gradient: Float32Array): void {
    const weight = this.#weights.get(name)
    const sum = weight && this.#sums.get(weight.tensor)
    if (weight === undefined || sum === undefined) return
    addStored(weight, gradient, sum.data)
  }

  results(): ReadonlyMap<string, Tensor> {
    return this.#sums
  }
}

/** Adds the gradient of a weight to that of the stored tensor: the steps backwards. */
export function addStored({ steps, stored }: Weight, gradient: Float32Array, sum: Float32Array): void {
  // Where each element of the weight lies: the strides of its axes, which a reshape of reordered axes ends.
  let shape = stored
  const shapes = steps.map((step) => {
    const before = shape
    if (step.kind === 'reshape') shape = step.shape
    else if (step.kind === 'permute') shape = step.axes.map((axis) => before[axis])
    else if (step.kind === 'slice')
      shape = before.map((dim, i) =>
        i === step.axis ? Math.ceil((step.end - step.start) / step.stride) : dim,
      )
    return before
  })
  let data = gradient
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i]
    const strides = stridesOf(shapes[i])
    if (step.kind === 'permute') {
      const moved = step.axes.map((axis) => strides[axis])
      data = scatter(
        data,
        step.axes.map((axis) => shapes[i][axis]),
        moved,
        0,
        sizeOf(shapes[i]),
      )
    } else if (step.kind === 'slice') {
      const size = Math.ceil((step.end - step.start) / step.stride)
      const cut = shapes[i].map((dim, axis) => (axis === step.axis ? size : dim))
      const stretched = strides.map((stride, axis) => (axis === step.axis ? stride * step.stride : stride))
      data = scatter(data, cut, stretched, step.start * strides[step.axis], sizeOf(shapes[i]))
    }
  }
  for (let i = 0; i < sum.length; i++) sum[i] += data[i]
}

const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)))

/** Writes elements in row-major order to `start` + Σ indexᵢ·stridesᵢ of an array of zeros. */
function scatter(
  source: Float32Array,
  shape: readonly number[],
  strides: readonly number[],
  start: number,
  size: number,
): Float32Array {
  const result = new Float32Array(size)
  const last = shape.length - 1
  let read = 0
  const walk = (axis: number, offset: number): void => {
    if (axis === last)
      for (let i = 0; i < shape[last]; i++) result[offset + i * strides[last]] = source[read++]
    else for (let i = 0; i < shape[axis]; i++) walk(axis + 1, offset + i * strides[axis])
  }
  walk(0, start)
  return result
}
