/** Short answers, read whole: bounded in size and time, and JSON read by the strict reader. */
import type { z } from 'zod'
import { asPatchbayError } from '../../../../preload/errors'
import { parseStrictJson } from '../../formats/strict-json'
import { timedOut, untrusted } from '../failures'
import type { Connection } from './connection'
import { exchange, type Ask } from './exchange'
import { withRetries } from './retry'

/** @throws PatchbayError, also where the body is larger than `largest` */
export async function fetchBytes(connection: Connection, ask: Ask, largest: number): Promise<Uint8Array> {
  return withRetries(connection, ask.signal, async () => {
    const { limits, clock } = connection
    const answer = await exchange(connection, ask)
    try {
      const started = clock.now()
      const parts: Uint8Array[] = []
      let size = 0
      for await (const part of answer.pieces()) {
        if ((size += part.length) > largest)
          throw untrusted(`${answer.url.host} sends more than ${largest} bytes for ${ask.what}.`)
        if (clock.now() - started > limits.jsonMs) throw timedOut(answer.url.host, limits.jsonMs / 1000)
        parts.push(part)
      }
      return Buffer.concat(parts)
    } finally {
      answer.close()
    }
  })
}

/** JSON that fits the schema. @throws PatchbayError `file.malformed` naming the field that does not */
export async function fetchJson<T>(connection: Connection, ask: Ask, schema: z.ZodType<T>): Promise<T> {
  const bytes = await fetchBytes(connection, ask, connection.limits.largestJson)
  const source = `${ask.url.host}'s answer about ${ask.what}`
  const parsed = schema.safeParse(parseJsonBytes(bytes, source))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue.path.join('.').slice(0, 200)
  throw untrusted(`${source} is not what a hub says (${field === '' ? '' : `${field}: `}${issue.message}).`, {
    field,
  })
}

/** @throws PatchbayError `file.malformed` naming the byte */
export function parseJsonBytes(bytes: Uint8Array, source: string): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return parseStrictJson(text, { file: 'JSON', maxDepth: 64, pythonNumbers: true })
  } catch (cause) {
    const { message, offset } = asPatchbayError(cause)
    throw untrusted(`${source} can not be read: ${message}`, { cause, offset })
  }
}
