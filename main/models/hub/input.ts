/** What comes over the wire, checked: its names become addresses and paths. */
import type { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'

/** @throws PatchbayError `input.invalid` naming the field */
export function checkedInput<T>(schema: z.ZodType<T>, given: unknown, what: string): T {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue.path.join('.')
  throw new PatchbayError(
    'input.invalid',
    `The ${what} does not fit: ${field === '' ? '' : `${field} `}${issue.message}.`,
    {
      field,
      next: 'Check the name: a model is owner/name, as the hub shows it.',
    },
  )
}
