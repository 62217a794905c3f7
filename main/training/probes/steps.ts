/** Fitting is arithmetic on one thread: cut into steps, so that what else wants the thread gets it between them. */
import { throwIfCancelled } from '../../runtime/cancelled'

/** Work that stands still at each yield. */
export type Steps<Result> = Generator<void, Result>

/** Multiplications between two rests: some ten milliseconds. */
const BETWEEN_RESTS = 2 ** 24

/** Says when it is time to stand still. */
export class Pace {
  #done = 0

  /** @param multiplications done since it was asked last */
  isDue(multiplications: number): boolean {
    this.#done += multiplications
    if (this.#done < BETWEEN_RESTS) return false
    this.#done = 0
    return true
  }
}

/** All steps at once. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
  }
}

/** Step after step, with a turn of the event loop between them. @throws PatchbayError `run.cancelled` there */
export async function finishGently<Result>(steps: Steps<Result>, signal?: AbortSignal): Promise<Result> {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
    await new Promise((resolve) => setImmediate(resolve))
    throwIfCancelled(signal)
  }
}
