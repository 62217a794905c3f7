/**
 * The one place where Patchbay opens a connection to a hub: a request, its redirects, and the body of the answer, each
 * within its time. In offline mode it refuses before anything is resolved or connected.
 */
import { cancelled, connectionFailure, offline, statusFailure, timedOut, untrusted } from '../failures'
import type { Connection } from './connection'
import { isEndpoint, redirectTarget } from './redirect'
import { retryAfterMs } from './retry'

export interface Ask {
  url: URL
  /** What is asked for, as it may stand in a sentence. */
  what: string
  method?: 'GET' | 'HEAD'
  /** Further headers, for each address on the way. */
  headers?: (url: URL) => Record<string, string>
  signal?: AbortSignal
  /** Stop at a redirect away from the hub: the hub's own answer describes the file. */
  stay?: boolean
  /** Called with each answer on the way before a redirect is followed; throws for one that is not to be believed. */
  inspect?: (headers: Headers, url: URL) => void
  /** A status that is an answer too, beside those of success. */
  accept?: number
}

export interface Answer {
  /** Where the answer came from in the end. */
  url: URL
  status: number
  headers: Headers
  /** The first answer on the way that has this header: the hub says it before it redirects to a store. */
  said(header: string): string | null
  /** The body, piece by piece. @throws TransientFailure where it stalls or breaks off */
  pieces(): AsyncGenerator<Uint8Array>
  /** Must be called in the end; drops the connection unless the body was read to its end. */
  close(): void
}

const redirects = new Set([301, 302, 303, 307, 308])

/**
 * Asks, and follows redirects.
 * @throws PatchbayError for offline mode, cancelling, bad redirects and any status other than success; TransientFailure
 * for what may pass
 */
export async function exchange(connection: Connection, ask: Ask): Promise<Answer> {
  const { endpoint, limits } = connection
  if (connection.offline) throw offline(`${endpoint.host} is not asked for ${ask.what}`)
  const way: Headers[] = []
  for (let url = ask.url, hops = 0; ; hops++) {
    const answer = await send(connection, ask, url, way)
    way.push(answer.headers)
    try {
      ask.inspect?.(answer.headers, url)
      if (!redirects.has(answer.status)) {
        if ((answer.status >= 200 && answer.status < 300) || answer.status === ask.accept) return answer
        const afterMs = retryAfterMs(answer.headers.get('retry-after'))
        const errorCode = answer.headers.get('x-error-code')
        throw statusFailure(answer.status, { host: url.host, what: ask.what, errorCode, afterMs })
      }
      const target = redirectTarget(url, answer.headers.get('location'), endpoint)
      if (ask.stay === true && !isEndpoint(target, endpoint)) return answer
      if (hops >= limits.redirects) throw untrusted(`${endpoint.host} redirects without end.`)
      url = target
    } catch (error) {
      answer.close()
      throw error
    }
    answer.close()
  }
}

async function send(connection: Connection, ask: Ask, url: URL, way: Headers[]): Promise<Answer> {
  const { endpoint, limits, token } = connection
  const { signal } = ask
  const controller = new AbortController()
  const cancel = (): void => controller.abort(cancelled(`Asking for ${ask.what}`))
  if (signal?.aborted === true) throw cancelled(`Asking for ${ask.what}`)
  signal?.addEventListener('abort', cancel)
  const close = (): void => {
    signal?.removeEventListener('abort', cancel)
    controller.abort()
  }
  /** The reason for which we ended it, or else the connection's own failure. */
  const failure = (cause: unknown): unknown =>
    controller.signal.aborted ? controller.signal.reason : connectionFailure(url.host, cause)

  const headers: Record<string, string> = {
    'user-agent': 'patchbay',
    'accept-encoding': 'identity',
    ...ask.headers?.(url),
  }
  if (token !== null && isEndpoint(url, endpoint)) headers['authorization'] = token.bearer()
  const timer = setTimeout(
    () => controller.abort(timedOut(url.host, limits.answerMs / 1000)),
    limits.answerMs,
  )
  let response: Response
  try {
    const options = {
      method: ask.method ?? 'GET',
      headers,
      redirect: 'manual',
      signal: controller.signal,
    } as const
    response = await connection.fetch(url, options)
  } catch (cause) {
    const reason = failure(cause)
    close()
    throw reason
  } finally {
    clearTimeout(timer)
  }
  return {
    url,
    status: response.status,
    headers: response.headers,
    said: (header) => way.map((headers) => headers.get(header)).find((value) => value !== null) ?? null,
    pieces: () => pieces(response.body, url.host, controller, connection, failure),
    close,
  }
}

/** Reads with a watchdog that wants `stallBytes` in every `stallMs`, so that a trickle does not hold a download for ever. */
async function* pieces(
  body: ReadableStream<Uint8Array> | null,
  host: string,
  controller: AbortController,
  { limits }: Connection,
  failure: (cause: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader = body.getReader()
  const expire = (): void => controller.abort(timedOut(host, limits.stallMs / 1000))
  let timer = setTimeout(expire, limits.stallMs)
  let sinceFed = 0
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw failure(cause)
      })
      if (done) return
      if ((sinceFed += value.length) >= limits.stallBytes) {
        clearTimeout(timer)
        timer = setTimeout(expire, limits.stallMs)
        sinceFed = 0
      }
      yield value
    }
  } finally {
    clearTimeout(timer)
    reader.releaseLock()
  }
}
