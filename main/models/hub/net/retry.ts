/** Trying again: what may pass by itself gets more attempts, with longer and longer pauses or when the server says. */
import { TransientFailure } from '../failures'
import type { Connection } from './connection'

/** `Retry-After` as milliseconds from now: it is seconds, or a date. Null where it says nothing usable. */
export function retryAfterMs(header: string | null, now = Date.now()): number | null {
  if (header === null) return null
  const text = header.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const date = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

/**
 * Pauses before attempt number `attempt` (1 is the first that is another one).
 * @throws the failure itself, where there were enough attempts or the server wants a longer pause than one can sit out
 */
export async function pauseBefore(
  attempt: number,
  failure: TransientFailure,
  { clock, limits }: Connection,
  signal?: AbortSignal,
): Promise<void> {
  if (attempt > limits.retries || (failure.afterMs ?? 0) > limits.longestRetryAfterMs) throw failure
  const pause = Math.min(limits.longestPauseMs, limits.firstPauseMs * 2 ** (attempt - 1))
  await clock.sleep(failure.afterMs ?? pause * (0.75 + 0.5 * clock.random()), signal)
}

/** Does `action` until it succeeds, fails for good or has failed too often. */
export async function withRetries<T>(
  connection: Connection,
  signal: AbortSignal | undefined,
  action: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action()
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error
      await pauseBefore(attempt, error, connection, signal)
    }
  }
}
