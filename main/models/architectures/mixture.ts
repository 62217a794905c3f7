/** Mixtures of experts in the forms in which checkpoints hold them: each expert apart, or all in one tensor. */
import type { Activation, GatedMlpSpec, LinearSpec, MixtureSpec } from '../spec'
import { permuted, reshaped, sliced, weight, type Weight } from '../weights'
import { unsupported } from './config'
import { linear } from './parts'

/** Where a layer's experts lie, whole names. `{gate: 'w1', …}` behind `expert(i)`. */
export interface SeparateExperts {
  readonly expert: (index: number) => string
  readonly gate: string
  readonly up: string
  readonly down: string
}

export interface ExpertSizes {
  readonly hidden: number
  readonly width: number
  readonly count: number
  readonly activation: Activation
}

/** Experts that are modules of their own. */
export const separateExperts = (names: SeparateExperts, sizes: ExpertSizes): GatedMlpSpec[] =>
  each(sizes, (index) => ({
    gate: linear(names.expert(index) + names.gate, sizes.hidden, sizes.width, false),
    up: linear(names.expert(index) + names.up, sizes.hidden, sizes.width, false),
    output: linear(names.expert(index) + names.down, sizes.width, sizes.hidden, false),
  }))

/** Experts in three tensors [expert, out, in], as GGUF has them. */
export const stackedExperts = (
  names: { readonly gate: string; readonly up: string; readonly down: string },
  sizes: ExpertSizes,
): GatedMlpSpec[] =>
  each(sizes, (index) => ({
    gate: stackedLinear(names.gate, sizes.count, index, sizes.hidden, sizes.width),
    up: stackedLinear(names.up, sizes.count, index, sizes.hidden, sizes.width),
    output: stackedLinear(names.down, sizes.count, index, sizes.width, sizes.hidden),
  }))

const each = (
  { width, count, activation }: ExpertSizes,
  parts: (index: number) => Pick<GatedMlpSpec, 'gate' | 'up' | 'output'>,
): GatedMlpSpec[] =>
  Array.from({ length: count }, (_, index) => ({ kind: 'gated', width, activation, ...parts(index) }))

/** Expert `index` of `<name>.weight` [expert, outputs, inputs] (and `<name>.bias` [expert, outputs]). */
export const stackedLinear = (
  name: string,
  count: number,
  index: number,
  inputs: number,
  outputs: number,
  bias = false,
): LinearSpec =>
  fromWeight(
    slab(weight(`${name}.weight`, count, outputs, inputs), index),
    bias ? slab(weight(`${name}.bias`, count, outputs), index) : null,
  )

/** Entry `index` of a tensor's first axis. */
export const slab = (whole: Weight, index: number): Weight =>
  reshaped(sliced(whole, 0, index, index + 1), ...whole.shape.slice(1))

/** A matrix [outputs, inputs] as a linear. */
export const fromWeight = (matrix: Weight, bias: Weight | null): LinearSpec => ({
  weight: matrix,
  bias,
  layout: 'out-in',
  inputs: matrix.shape[1],
  outputs: matrix.shape[0],
})

/** A matrix [inputs, outputs] as a linear; written out once as [outputs, inputs], like all others. */
export const transposedLinear = (matrix: Weight, bias: Weight | null): LinearSpec =>
  fromWeight(permuted(matrix, 1, 0), bias)

/** Softmax over all experts, the top k of it, divided by their sum or not: Mixtral's and Qwen's rule. */
export const softmaxFirst = (
  router: LinearSpec,
  experts: readonly GatedMlpSpec[],
  width: number,
  topK: number,
  normalise: boolean,
): MixtureSpec => ({ kind: 'mixture', width, router, experts, topK, weighting: 'softmax-first', normalise })

/** Throws `model.unsupported` for a number of experts that no model has, or fewer than are chosen. */
export function checkExperts(family: string, count: number, chosen: number): void {
  if (count > 1024) throw unsupported(family, 'num_experts', `is ${count}, more than any model has`)
  if (chosen > count) throw unsupported(family, 'num_experts_per_tok', `is ${chosen} of ${count} experts`)
}
