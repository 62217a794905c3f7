/** Small JSON files of the store, with a checksum in them: a flipped bit is noticed, a later version left alone. */
import { z } from 'zod'
import { canonicalJson } from '../../../preload/canonical'
import { asPatchbayError } from '../../../preload/errors'
import { writeWhole } from '../../files/durable-file'
import { malformed } from '../../models/formats/malformed'
import { crc32 } from './checksum'
import { newerVersion } from './shard-file'
import { isMissing, type StoreFs } from './store-fs'

const sealed = z.strictObject({ crc32: z.number().int(), content: z.unknown() })

/**
 * The content of such a file; null where there is none.
 * @param version the latest that is known
 * @throws PatchbayError `file.malformed`, and for a later version an error of which `isNewer` holds
 */
export async function readSealed<T>(
  file: string,
  schema: z.ZodType<T>,
  version: number,
  fs: StoreFs,
): Promise<T | null> {
  let bytes: Uint8Array
  try {
    bytes = await fs.readFile(file)
  } catch (error) {
    if (isMissing(error)) return null
    throw asPatchbayError(error)
  }
  const damaged = (cause?: unknown) =>
    malformed(file, 'is not what its checksum says', {
      next: 'Put back a copy of it, or delete it; the stored activations do not depend on it.',
      cause,
    })
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw damaged(cause)
  }
  const outer = sealed.safeParse(json)
  if (!outer.success || crc32(canonicalJson(outer.data.content)) !== outer.data.crc32)
    throw damaged(outer.error)
  // White space is not part of what the checksum covers.
  if (Buffer.compare(bytes, textOf(outer.data.content)) !== 0) throw damaged()
  const head = z.object({ version: z.number() }).safeParse(outer.data.content)
  if (head.success && head.data.version > version)
    throw newerVersion(file, 'The activation store', head.data.version)
  const parsed = schema.safeParse(outer.data.content)
  if (!parsed.success) throw malformed(file, 'does not fit its schema', { cause: parsed.error })
  return parsed.data
}

/** Writes it, whole or not at all. */
export const writeSealed = (file: string, content: unknown, fs: StoreFs): Promise<void> =>
  writeWhole(file, textOf(content), { fs })

const textOf = (content: unknown): Buffer => {
  const body = canonicalJson(content)
  return Buffer.from(`{"crc32":${crc32(body)},"content":${body}}\n`)
}
