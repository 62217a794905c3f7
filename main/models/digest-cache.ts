/**
 * Hashing a large model takes seconds, so digests of files are remembered in a JSON file: by path, size, modification
 * time and inode. It is only a cache: one that can not be read is begun anew, one of a later version is left alone.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { NonFiniteTensor } from './formats/finite'
import { readFailure } from './formats/malformed'
import { writeWhole } from '../files/durable-file'

/** What reading a file once told. */
export interface Digest {
  sha256: string
  /** Its weights that are no numbers; undefined where nobody looked. */
  nonFinite?: NonFiniteTensor[]
}

/** What must be equal for a digest to still hold. */
export interface FileIdentity {
  /** Absolute, symbolic links resolved. */
  path: string
  size: number
  mtimeNs: bigint
  inode: bigint
}

const entrySchema = z.object({
  path: z.string(),
  size: z.number().int().nonnegative(),
  mtimeNs: z.string().regex(/^\d+$/),
  inode: z.string().regex(/^\d+$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  nonFinite: z
    .array(z.object({ name: z.string(), count: z.number().int(), first: z.number().int() }))
    .optional(),
})
const fileSchema = z.object({
  format: z.literal('patchbay.digests'),
  version: z.literal(1),
  entries: z.array(entrySchema),
})
const laterSchema = z.object({ format: z.literal('patchbay.digests'), version: z.number().gt(1) })
type Entry = z.infer<typeof entrySchema>

/** Files that a person has long deleted fall out at the end. */
const mostEntries = 1000

export class DigestCache {
  /** @param file where the digests are kept; need not exist */
  constructor(private readonly file: string) {}

  /** That of a file which has not changed since it was put. @throws PatchbayError `file.unreadable` */
  async get(identity: FileIdentity): Promise<Digest | undefined> {
    const stored = await this.read()
    const entry = stored?.find((one) => isSame(one, identity))
    return entry && { sha256: entry.sha256, nonFinite: entry.nonFinite }
  }

  /** Remembers a digest in place of any earlier one of the same path. @throws PatchbayError `disk.full`, `disk.failed` */
  async put(identity: FileIdentity, digest: Digest): Promise<void> {
    const stored = await this.read()
    if (stored === undefined) return
    const entries = [
      {
        path: identity.path,
        size: identity.size,
        mtimeNs: String(identity.mtimeNs),
        inode: String(identity.inode),
        ...digest,
      },
      ...stored.filter((entry) => entry.path !== identity.path),
    ].slice(0, mostEntries)
    const content = { format: 'patchbay.digests', version: 1, entries } satisfies z.input<typeof fileSchema>
    await writeWhole(this.file, JSON.stringify(content, null, 2))
  }

  /** The stored entries; none where the file is absent or broken, undefined where a later Patchbay wrote it. */
  private async read(): Promise<Entry[] | undefined> {
    let content: unknown
    try {
      content = JSON.parse(await readFile(this.file, 'utf8'))
    } catch (error) {
      if (
        error instanceof SyntaxError ||
        (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      )
        return []
      throw readFailure(this.file, error)
    }
    if (laterSchema.safeParse(content).success) return undefined
    const parsed = fileSchema.safeParse(content)
    return parsed.success ? parsed.data.entries : []
  }
}

const isSame = (entry: Entry, identity: FileIdentity): boolean =>
  entry.path === identity.path &&
  entry.size === identity.size &&
  entry.mtimeNs === String(identity.mtimeNs) &&
  entry.inode === String(identity.inode)
