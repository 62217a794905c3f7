/**
 * The library: which models this person has opened, so that they are a click away. One JSON file, written atomically;
 * a file that can not be read is set aside under another name and a warning says so; nothing is overwritten.
 */
import { createHash } from 'node:crypto'
import { access, readFile, rename } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { libraryEntry, type LibraryEntry, type ModelLocation } from '../../preload/model'
import { writeWhole } from '../files/durable-file'

const storedEntry = libraryEntry.omit({ present: true, certificates: true })
const libraryFile = z.object({
  format: z.literal('patchbay.library'),
  version: z.literal(1),
  entries: z.array(storedEntry),
})
type StoredEntry = z.infer<typeof storedEntry>

/** Same place, same entry: the id is a short hash of the location. */
export const libraryId = (location: ModelLocation): string =>
  location.kind === 'embedded'
    ? 'embedded'
    : createHash('sha256').update(path.resolve(location.path)).digest('hex').slice(0, 16)

export class Library {
  private entries: StoredEntry[] | null = null
  private writing: Promise<void> = Promise.resolve()
  /** What went wrong with the stored file, for the person. */
  warning: string | null = null

  /** @param file where the library lies, e.g. `<dataDir>/library.json` */
  constructor(private readonly file: string) {}

  /** All entries, last opened first, with whether their files are still there. */
  async list(): Promise<LibraryEntry[]> {
    const entries = await this.load()
    const withPresence = await Promise.all(
      entries.map(async (entry) => ({ ...entry, present: await isPresent(entry.location) })),
    )
    return withPresence.sort((a, b) => (a.lastOpened < b.lastOpened ? 1 : -1))
  }

  /** Adds an opened model, or moves the entry of the same location to the front. */
  async remember(entry: Omit<StoredEntry, 'id'>): Promise<void> {
    const id = libraryId(entry.location)
    await this.update((entries) => [{ id, ...entry }, ...entries.filter((other) => other.id !== id)])
  }

  /** Takes an entry out; the model's files are not touched. */
  async forget(id: string): Promise<void> {
    await this.update((entries) => entries.filter((entry) => entry.id !== id))
  }

  private async update(change: (entries: StoredEntry[]) => StoredEntry[]): Promise<void> {
    const next = this.writing.then(async () => {
      const entries = change(await this.load())
      const content = { format: 'patchbay.library', version: 1, entries } satisfies z.input<
        typeof libraryFile
      >
      const text = new TextEncoder().encode(JSON.stringify(content, null, 2))
      await writeWhole(this.file, text)
      this.entries = entries
    })
    this.writing = next.catch(() => undefined) // a failed write is the caller's to see; the next one starts afresh
    await next
  }

  private async load(): Promise<StoredEntry[]> {
    this.entries ??= await this.read()
    return this.entries
  }

  private async read(): Promise<StoredEntry[]> {
    let text: string
    try {
      text = await readFile(this.file, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
      throw error
    }
    const parsed = libraryFile.safeParse(parseJson(text))
    if (parsed.success) return parsed.data.entries
    const aside = `${this.file}.unreadable-${Date.now()}`
    await rename(this.file, aside)
    this.warning = `The model library could not be read and was set aside as ${path.basename(aside)}; a new one was begun.`
    return []
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // fails the schema, which is what the caller reports
  }
}

async function isPresent(location: ModelLocation): Promise<boolean> {
  if (location.kind === 'embedded') return true
  return access(location.path).then(
    () => true,
    () => false,
  )
}
