/**
 * Asking for the rest of a file, and judging whether an answer is that rest (RFC 9110, 14). A server may send the whole
 * file instead, or have another one by now.
 */
import type { HubFile } from '../../../preload/hub'
import { untrusted } from './failures'
import type { Answer } from './net/exchange'
import { isEndpoint } from './net/redirect'
import { etagOf } from './repository'

/** ETags as the servers gave them, by `placeOf` the address; only strong ones. */
export type Etags = ReadonlyMap<string, string>

/** An address without the signature that differs from time to time. */
export const placeOf = (url: URL): string => url.origin + url.pathname

/** `Range` and, where the ETag is known, `If-Range`, by which a server sends everything if it has another file. */
export function rangeHeaders(
  at: URL,
  from: number,
  { hash }: Pick<HubFile, 'hash'>,
  etags: Etags,
  endpoint: URL,
): Record<string, string> {
  if (from === 0) return {}
  // The hub's own ETags are the hashes; a store behind it has others, which only an earlier answer tells.
  const etag = etags.get(placeOf(at)) ?? (isEndpoint(at, endpoint) ? `"${hash}"` : undefined)
  return { range: `bytes=${from}-`, ...(etag === undefined ? {} : { 'if-range': etag }) }
}

/**
 * Compares what the hub itself says about a file with what it said when the download was planned.
 * @throws PatchbayError `file.malformed` where it names another content by now
 */
export function checkUnchanged(
  headers: Headers,
  at: URL,
  file: Pick<HubFile, 'name' | 'hash'>,
  endpoint: URL,
): void {
  if (!isEndpoint(at, endpoint)) return
  const hash = etagOf(headers.get('x-linked-etag') ?? headers.get('etag'))
  if (hash === null || hash === file.hash || hash.length !== file.hash.length || !/^[0-9a-f]+$/.test(hash))
    return
  throw untrusted(`${endpoint.host} has another ${file.name} now than when the download was planned.`, {
    next: 'Look at the model again and start the download anew.',
  })
}

/**
 * What an answer to a request for everything after byte `from` is: the rest, the whole file, or part of another one.
 * @throws PatchbayError `file.malformed` where it can not be this file at all
 */
export function howItFits(
  answer: Answer,
  from: number,
  file: Omit<HubFile, 'cached'>,
  etags: Etags,
): 'rest' | 'whole' | 'other' {
  const host = answer.url.host
  if (answer.status === 416) return 'other'
  const encoding = answer.headers.get('content-encoding') ?? 'identity'
  if (encoding !== 'identity')
    throw untrusted(`${host} sends ${file.name} compressed, though it was asked not to.`)

  const isRest = answer.status === 206
  if (isRest && !(startsAt(answer, from, file.bytes) && sameEtag(answer, etags))) return 'other'
  const expected = isRest ? file.bytes - from : file.bytes
  const length = answer.headers.get('content-length')
  if (length !== null && Number(length) !== expected)
    throw untrusted(
      `${host} wants to send ${Number(length)} bytes as ${file.name}, where ${expected} are due.`,
    )
  return isRest ? 'rest' : 'whole'
}

function startsAt(answer: Answer, from: number, bytes: number): boolean {
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers.get('content-range') ?? '')
  if (range === null) return false
  const [, first, last, total] = range
  return Number(first) === from && Number(last) === bytes - 1 && (total === '*' || Number(total) === bytes)
}

function sameEtag(answer: Answer, etags: Etags): boolean {
  const known = etags.get(placeOf(answer.url))
  const given = answer.headers.get('etag')
  return known === undefined || given === null || given === known
}
