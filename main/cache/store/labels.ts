/** What people say of what is stored: names, notes and pins of sets. It is not in the shards, so it has a file of its own. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { readSealed, writeSealed } from './sealed-json'
import type { StoreFs } from './store-fs'

export const setId = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)

export const label = z.strictObject({
  name: z.string().max(200).optional(),
  note: z.string().max(10_000).optional(),
  /** Never evicted. */
  pinned: z.boolean().default(false),
})
export type Label = z.infer<typeof label>

const VERSION = 1
const labelsFile = z.strictObject({ version: z.literal(VERSION), sets: z.record(setId, label) })

/** Labels by set. @throws PatchbayError `file.malformed` */
export async function readLabels(file: string, fs: StoreFs): Promise<Map<string, Label>> {
  const content = await readSealed(file, labelsFile, VERSION, fs)
  return new Map(Object.entries(content?.sets ?? {}))
}

export const writeLabels = (file: string, labels: ReadonlyMap<string, Label>, fs: StoreFs): Promise<void> =>
  writeSealed(file, { version: VERSION, sets: Object.fromEntries(labels) }, fs)

/** @throws PatchbayError `input.invalid` */
export function checkSetId(id: string): string {
  if (setId.safeParse(id).success) return id
  throw new PatchbayError('input.invalid', `${JSON.stringify(id)} can not name a set of activations.`, {
    field: 'set',
    next: 'Use up to 64 lower-case letters, digits, dots, dashes and underscores.',
  })
}
