/**
 * What can go wrong between this machine and a hub. Servers are named by their host alone: addresses carry signatures,
 * and answers may say anything, so neither is quoted.
 */
import { PatchbayError, type ErrorCode, type ErrorDetails } from '../../../preload/errors'

/** The stable code of each kind of failure. */
export const hubCodes = {
  offline: 'hub.offline',
  unreachable: 'hub.unreachable',
  refused: 'hub.refused',
  missing: 'hub.missing',
  untrusted: 'hub.untrusted',
} as const satisfies Record<string, ErrorCode>

/** One that may pass by itself: worth another attempt, not before `afterMs` where the server said so. */
export class TransientFailure extends PatchbayError {
  constructor(
    message: string,
    details: ErrorDetails,
    readonly afterMs: number | null = null,
  ) {
    super(hubCodes.unreachable, message, details)
  }
}

export const offline = (what: string): PatchbayError =>
  new PatchbayError(hubCodes.offline, `Patchbay is offline, so ${what}.`, {
    next: 'Turn offline mode off (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE or the setting), or open a model from the cache.',
  })

export const cancelled = (what: string): PatchbayError =>
  new PatchbayError('run.cancelled', `${what} was cancelled.`, {
    next: 'What was downloaded is kept: start it again and it goes on from there.',
  })

/** What the server says or sends can not be right. `problem`: one sentence. */
export const untrusted = (problem: string, details: ErrorDetails = {}): PatchbayError =>
  new PatchbayError(hubCodes.untrusted, problem, {
    next: 'Nothing of it was kept. Check HF_ENDPOINT and the network (a proxy or a login page may answer instead), and try again.',
    ...details,
  })

export const timedOut = (host: string, seconds: number): TransientFailure =>
  new TransientFailure(`${host} sent nothing useful for ${seconds} s.`, {
    next: 'Check the connection and try again; a download goes on from where it was.',
  })

const certificateProblem = /CERT|SIGNED|SSL|TLS|ALTNAME|UNABLE_TO_VERIFY/

/** A connection that could not be made or broke. Certificates do not get better by trying again. */
export function connectionFailure(host: string, cause: unknown): PatchbayError {
  const code = systemCode(cause)
  if (code !== null && certificateProblem.test(code))
    return new PatchbayError(
      hubCodes.unreachable,
      `The certificate of ${host} is not valid here (${code}).`,
      {
        next: 'Check the clock; behind a proxy with its own certificate, name that in NODE_EXTRA_CA_CERTS.',
        cause,
      },
    )
  return new TransientFailure(`The connection to ${host} failed${code === null ? '' : ` (${code})`}.`, {
    next: 'Check the connection and try again; a download goes on from where it was.',
    cause,
  })
}

/** The system's code, wherever fetch has wrapped it. */
function systemCode(error: unknown): string | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++)
    if ('code' in at && typeof at.code === 'string') return at.code
  return null
}

/** What a status other than success means. `what` is asked for, as it may stand in a sentence. */
export function statusFailure(
  status: number,
  {
    host,
    what,
    errorCode,
    afterMs,
  }: { host: string; what: string; errorCode: string | null; afterMs: number | null },
): PatchbayError {
  if (status === 429)
    return new TransientFailure(
      `${host} is asked too often (429).`,
      { next: 'Wait a few minutes and try again; being logged in (HF_TOKEN) allows more.' },
      afterMs,
    )
  if (status >= 500 || status === 408)
    return new TransientFailure(
      `${host} could not answer (${status}).`,
      { next: 'Try again later; a download goes on from where it was.' },
      afterMs,
    )
  if (errorCode === 'GatedRepo' || status === 403)
    return new PatchbayError(hubCodes.refused, `${host} does not give ${what} to everyone (${status}).`, {
      next: `Accept the model's terms on its page at ${host}, and give your access token in HF_TOKEN.`,
    })
  if (status === 401)
    return new PatchbayError(hubCodes.refused, `${host} does not know ${what}, or keeps it private (401).`, {
      next: 'Check the name; for a private or gated model give your access token in HF_TOKEN.',
    })
  if (status === 404 || status === 410)
    return new PatchbayError(hubCodes.missing, `${host} has not ${what} (${status}).`, {
      next: errorCode === 'RevisionNotFound' ? 'Check the revision.' : 'Check the name and the revision.',
    })
  return untrusted(`${host} answered with ${status} when asked for ${what}.`)
}
