/** The store's own settings: the version of its format, and how many bytes it may take. */
import { z } from 'zod'
import { readSealed, writeSealed } from './sealed-json'
import type { StoreFs } from './store-fs'

export const STORE_VERSION = 1

/** Bytes that a store may take unless it was told otherwise. */
export const DEFAULT_QUOTA = 20e9

const storeConfig = z.strictObject({
  format: z.literal('patchbay.activation-store'),
  version: z.literal(STORE_VERSION),
  quota: z.number().int().positive(),
})
export type StoreConfig = z.infer<typeof storeConfig>

/** @throws PatchbayError `file.malformed`; for a later version one of which `isNewer` holds. Null where there is none. */
export const readConfig = (file: string, fs: StoreFs): Promise<StoreConfig | null> =>
  readSealed(file, storeConfig, STORE_VERSION, fs)

export const writeConfig = (file: string, quota: number, fs: StoreFs): Promise<void> =>
  writeSealed(file, { format: 'patchbay.activation-store', version: STORE_VERSION, quota }, fs)
