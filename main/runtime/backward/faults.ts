/** What can be wrong with the backward part of a request. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'

export const invalid = (sentence: string, next: string, field = 'backward.metric'): PatchbayError =>
  new PatchbayError('input.invalid', `${sentence}.`, { next, field })

/** A tensor of the request. @throws PatchbayError `input.invalid` where it did not come along */
export function tensorNamed(name: string, tensors: Readonly<Record<string, Tensor>>): Tensor {
  if (Object.hasOwn(tensors, name)) return tensors[name]
  throw invalid(
    `The metric names a tensor ${JSON.stringify(name)} that did not come with the request`,
    'Send it along.',
  )
}
