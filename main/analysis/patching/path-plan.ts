/** From a path patching request to senders, receivers and prompts that were run. */
import type { PathRequest } from '../../../preload/sweep'
import { frozenOf } from './frozen'
import { layerOf } from './path-blocks'
import { stackFor, type PathContext } from './path-runs'
import { checked, type PlannedSweep, type PlanOptions } from './planned'
import { invalid, placesOf, type SweepSite } from './sites'
import type { PatchingModel } from './subject'

export interface PlannedPaths extends PlannedSweep {
  /** Of the base of each pair. */
  readonly lengths: readonly number[]
  readonly context: PathContext
}

/**
 * @param which of the pairs is run; all unless given
 * @throws PatchbayError as a sweep, and `input.invalid` for a receiver that no sender comes before
 */
export async function planPaths(
  model: PatchingModel,
  request: PathRequest,
  options: PlanOptions,
  which?: number,
): Promise<PlannedPaths> {
  const { lengths, hooks, run } = checked(model, request, options)
  const receivers = placesOf(model, request.receivers, lengths, 'receivers')
  const frozen = frozenOf(model, request.frozen)
  checkReceivers(receivers, hooks, frozen.hooks)
  const heard = receivers.map(({ hook }) => hook)
  const planned = await run([...heard, ...frozen.hooks], which)
  const { runner } = planned
  const stack = stackFor(model, runner, [...hooks, ...heard])
  return {
    ...planned,
    lengths,
    context: { model, runner, stack, receivers, frozen, signal: options.signal },
  }
}

/** A receiver must be able to hear some sender. */
function checkReceivers(
  receivers: readonly SweepSite[],
  senders: readonly string[],
  frozen: readonly string[],
): void {
  const fixed = receivers.find(({ hook }) => frozen.includes(hook))
  if (fixed !== undefined)
    throw invalid(
      `The receiver ${fixed.hook} is among what stays as in the base run`,
      'receivers',
      'Receive at an input: attn.hook_q, hook_k or hook_v, ln2.hook_normalized, or the last hook_resid_post.',
    )
  const first = Math.min(...senders.map(layerOf))
  const deaf = receivers.find(({ hook }) => layerOf(hook) < first)
  if (deaf === undefined) return
  throw invalid(
    `The receiver ${deaf.hook} comes before every sender`,
    'receivers',
    'Choose receivers behind the senders.',
  )
}
