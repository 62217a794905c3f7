/** Pieces that many architecture files put together: linears by their prefix in the checkpoint. */
import type { LinearSpec } from '../spec'
import { weight } from '../weights'

/** nn.Linear under `prefix`: weight [outputs, inputs], bias [outputs]. */
export const linear = (prefix: string, inputs: number, outputs: number, bias: boolean): LinearSpec => ({
  weight: weight(`${prefix}.weight`, outputs, inputs),
  bias: bias ? weight(`${prefix}.bias`, outputs) : null,
  layout: 'out-in',
  inputs,
  outputs,
})

/** GPT-2's Conv1D: weight [inputs, outputs]. */
export const conv1d = (prefix: string, inputs: number, outputs: number): LinearSpec => ({
  weight: weight(`${prefix}.weight`, inputs, outputs),
  bias: weight(`${prefix}.bias`, outputs),
  layout: 'in-out',
  inputs,
  outputs,
})

/** The tensors that a checkpoint holds, as far as an architecture needs to know them. */
export type TensorNames = { has(name: string): boolean }

/** `transformer.` or nothing: base models are saved without the prefix of the language-model class. */
export const prefixOf = (prefix: string, probe: string, tensors: TensorNames): string =>
  tensors.has(`${prefix}${probe}`) || !tensors.has(probe) ? prefix : ''
