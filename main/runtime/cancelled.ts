/** Cancelling a run: checked between blocks, since a native run can not be interrupted. */
import { PatchbayError } from '../../preload/errors'

/** @throws PatchbayError `run.cancelled` where the signal is aborted, or the signal's own reason if it is one of ours */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  if (signal.reason instanceof PatchbayError) throw signal.reason
  throw new PatchbayError('run.cancelled', 'The run was cancelled.', {
    next: 'Start it again when you like.',
  })
}
