/** What a job read from outside and keeps in its folder, so that it goes on with the same where the source has changed. */
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'

/**
 * @param what was kept, for the error
 * @returns null where nothing was kept yet
 * @throws PatchbayError `file.malformed`, `file.unreadable`
 */
export async function readKept<T>(file: string, schema: z.ZodType<T>, what: string): Promise<T | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const problem = asPatchbayError(error)
    if (problem.code === 'file.missing') return null
    throw problem
  }
  const parsed = schema.safeParse(jsonOrUndefined(text))
  if (parsed.success) return parsed.data
  throw new PatchbayError('file.malformed', `The ${what} that the job kept are damaged.`, {
    file,
    next: 'Start a new job.',
  })
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // fails the schema, which is what the caller reports
  }
}
