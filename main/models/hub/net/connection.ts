/** What every request needs: whom to ask and as whom, how patient to be, and a clock that tests can set. */
import { setTimeout as delay } from 'node:timers/promises'
import { cancelled } from '../failures'
import type { Secret } from '../secret'

export interface Clock {
  /** Milliseconds; only differences count. */
  now(): number
  /** @throws PatchbayError `run.cancelled` as soon as the signal says so */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** 0 ≤ x < 1, so that many machines do not come back at the same moment. */
  random(): number
}

export interface Limits {
  /** Until the headers of an answer are there. */
  answerMs: number
  /** A body must bring `stallBytes` in every `stallMs`, else it is given up. */
  stallMs: number
  stallBytes: number
  /** For the whole of a JSON answer. */
  jsonMs: number
  largestJson: number
  redirects: number
  /** Attempts after the first, without `progressBytes` in between. */
  retries: number
  progressBytes: number
  /** The first pause before another attempt; each is twice as long as the one before, up to the longest. */
  firstPauseMs: number
  longestPauseMs: number
  /** A `Retry-After` beyond this is a failure to report, not a time to wait. */
  longestRetryAfterMs: number
}

export interface Connection {
  /** Without a slash at its end. */
  endpoint: URL
  token: Secret | null
  offline: boolean
  fetch: typeof fetch
  clock: Clock
  limits: Limits
}

export const defaultLimits: Limits = {
  answerMs: 30_000,
  stallMs: 30_000,
  stallBytes: 16 << 10,
  jsonMs: 60_000,
  largestJson: 32 << 20,
  redirects: 10,
  retries: 5,
  progressBytes: 1 << 20,
  firstPauseMs: 1_000,
  longestPauseMs: 30_000,
  longestRetryAfterMs: 300_000,
}

export const systemClock: Clock = {
  now: () => performance.now(),
  random: Math.random,
  async sleep(ms, signal) {
    await delay(ms, undefined, { signal }).catch(() => {
      throw cancelled('Waiting for the hub')
    })
  },
}

/** An address at the endpoint. `path` begins with a slash and is encoded already. */
export const addressOf = (endpoint: URL, path: string): URL =>
  new URL(endpoint.href.replace(/\/+$/, '') + path)
