/**
 * How large waves are on this machine, remembered in the cache folder: measured once for each model, provider and processor.
 * What can not be read or written is measured again.
 */
import { mkdir, readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { z } from 'zod'
import { writeWhole } from '../files/durable-file'
import { WaveSize } from '../runtime/wave/size'

const remembered = z.record(
  z.string(),
  z
    .number()
    .int()
    .min(1)
    .max(2 ** 20),
)

export class WaveSizes {
  readonly #sizes = new Map<string, WaveSize>()
  readonly #file: string

  constructor(cacheDir: string) {
    this.#file = path.join(cacheDir, 'waves.json')
  }

  /** @param model its handle: fingerprint, provider and precision */
  of(model: string): WaveSize {
    const processors = os.cpus()
    const key = `${model} on ${processors.length} × ${processors[0]?.model ?? 'unknown'}`
    const known = this.#sizes.get(key)
    if (known !== undefined) return known
    const size = new WaveSize({
      read: async () => (await this.#all())[key] ?? null,
      write: async (tokens) => {
        await mkdir(path.dirname(this.#file), { recursive: true })
        const all = { ...(await this.#all()), [key]: tokens }
        await writeWhole(this.#file, new TextEncoder().encode(JSON.stringify(all)))
      },
    })
    this.#sizes.set(key, size)
    return size
  }

  async #all(): Promise<Record<string, number>> {
    try {
      return remembered.parse(JSON.parse(await readFile(this.#file, 'utf8')))
    } catch {
      // None yet, or not ours: measured again.
      return {}
    }
  }
}
