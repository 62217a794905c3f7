/**
 * The shell's own few settings. Written whole; a file that is damaged all the same is set aside, the one before it used,
 * and the person told.
 */
import { copyFile, mkdir, readFile, rename } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { themeNames } from '../../preload/shell'
import { asPatchbayError } from '../../preload/errors'
import { writeWhole } from '../files/durable-file'

const pixels = z.number().int().min(-100_000).max(100_000)

const shellSettings = z.object({
  version: z.literal(1),
  theme: z.enum(themeNames).default('system'),
  window: z
    .object({
      x: pixels,
      y: pixels,
      width: pixels.positive(),
      height: pixels.positive(),
      maximized: z.boolean().default(false),
    })
    .optional(),
  /** Seconds of silence after which the engine is taken for hung. */
  engineHangSeconds: z.number().min(30).max(86_400).default(300),
})
export type ShellSettings = z.infer<typeof shellSettings>

export const defaultSettings: ShellSettings = shellSettings.parse({ version: 1 })

export interface LoadedSettings {
  settings: ShellSettings
  /** What the person should know: the file was damaged. */
  notice?: string
}

/** Reads the settings of a user-data folder; never fails for what the file contains. */
export async function loadSettings(folder: string): Promise<LoadedSettings> {
  const file = path.join(folder, 'shell.json')
  const current = await readSettings(file)
  if (current === 'absent') return { settings: defaultSettings }
  if (current !== 'damaged') return { settings: current }

  const aside = `${file}.damaged`
  await rename(file, aside)
  const previous = await readSettings(`${file}.previous`)
  const found = typeof previous === 'object'
  const consequence = found ? 'The settings before them are used.' : 'The defaults are used.'
  return {
    settings: found ? previous : defaultSettings,
    notice: `The window settings could not be read and were set aside as ${aside}. ${consequence}`,
  }
}

/** Keeps what was valid before as `shell.json.previous`. */
export async function saveSettings(folder: string, settings: ShellSettings): Promise<void> {
  const file = path.join(folder, 'shell.json')
  await mkdir(folder, { recursive: true })
  if (typeof (await readSettings(file)) === 'object') await copyFile(file, `${file}.previous`)
  await writeWhole(file, JSON.stringify(shellSettings.parse(settings), null, 2) + '\n')
}

async function readSettings(file: string): Promise<ShellSettings | 'absent' | 'damaged'> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const known = asPatchbayError(error)
    if (known.code === 'file.missing') return 'absent'
    throw known
  }
  try {
    return shellSettings.parse(JSON.parse(text))
  } catch {
    // Not JSON, or not ours: the caller sets the file aside and says so.
    return 'damaged'
  }
}

/** The settings in use; saves one after the other, so that the last change wins. */
export class SettingsStore {
  #saving: Promise<void> = Promise.resolve()

  constructor(
    private readonly folder: string,
    private current: ShellSettings,
    private readonly log: (line: string) => void,
  ) {}

  get value(): ShellSettings {
    return this.current
  }

  update(change: Partial<Omit<ShellSettings, 'version'>>): void {
    this.current = { ...this.current, ...change }
    const settings = this.current
    this.#saving = this.#saving
      .then(() => saveSettings(this.folder, settings))
      .catch((error: unknown) => {
        this.log(`The window settings could not be saved: ${asPatchbayError(error).message}`)
      })
  }

  /** Resolves when everything is on disk. */
  async flush(): Promise<void> {
    await this.#saving
  }
}
