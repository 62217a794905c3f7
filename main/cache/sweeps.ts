/**
 * What sweeps have found, site by site, on disk: a sweep that is asked for again, in this window or another, runs only what
 * was never finished.
 */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../preload/canonical'
import type { KnownSites } from '../../preload/sweep'
import type { Tensor } from '../../preload/tensor'
import { tensorHash } from './key'
import { KeptFiles } from './kept-files'

/** Sweeps that are kept; those that were asked for longest ago go first. */
const MOST_SWEEPS = 500
const SAVE_EVERY_MS = 2000

/**
 * Names what a sweep computes.
 * @param what handle of the model, the request without order and known sites, and who computes
 */
export function sweepKey(
  what: { readonly model: string; readonly producer: string; readonly request: object },
  tensors: Readonly<Record<string, Tensor>>,
): string {
  const hashes = Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, tensorHash(tensor)]),
  )
  return createHash('sha256')
    .update(canonicalJson({ ...what, tensors: hashes }))
    .digest('hex')
}

export class SweepStore {
  readonly #files: KeptFiles

  constructor(folder: string) {
    this.#files = new KeptFiles(folder, MOST_SWEEPS)
  }

  /** Sites of an earlier sweep with this key; null without any that can be read. */
  async known(key: string): Promise<KnownSites | null> {
    const found = await this.#files.read(key)
    const [sites, raw] = [found?.sites?.data, found?.raw]
    if (!(sites instanceof Int32Array) || !(raw?.data instanceof Float32Array)) return null
    return { sites, raw: { shape: [...raw.shape], data: raw.data } }
  }

  /** Keeps what a sweep finds from now on, together with what was known before. */
  record(key: string, before: KnownSites | null): SweepRecord {
    return new SweepRecord(before, ({ sites, raw }) =>
      this.#files.write(key, { sites: { shape: [sites.length], data: sites }, raw }),
    )
  }
}

/** One sweep's findings on their way to disk: written every two seconds and at the end. */
export class SweepRecord {
  readonly #sites: number[]
  readonly #rows: Float32Array[]
  #saved = performance.now()
  #fresh = false
  #writing: Promise<void> = Promise.resolve()

  constructor(
    before: KnownSites | null,
    private readonly write: (found: KnownSites) => Promise<void>,
  ) {
    this.#sites = before === null ? [] : [...before.sites]
    this.#rows = before === null ? [] : rowsOf(before.raw)
  }

  /** @param raw [site, metric] */
  add(sites: Int32Array, raw: Tensor): void {
    this.#sites.push(...sites)
    this.#rows.push(...rowsOf(raw))
    this.#fresh = true
    if (performance.now() - this.#saved > SAVE_EVERY_MS) this.#save()
  }

  /** Writes what is not yet written. A disk that takes nothing costs no result: it is computed again next time. */
  async close(): Promise<void> {
    if (this.#fresh) this.#save()
    await this.#writing
  }

  #save(): void {
    this.#saved = performance.now()
    this.#fresh = false
    const metrics = this.#rows.at(0)?.length ?? 0
    const data = new Float32Array(this.#rows.length * metrics)
    this.#rows.forEach((row, i) => data.set(row, i * metrics))
    const found = {
      sites: Int32Array.from(this.#sites),
      raw: { shape: [this.#rows.length, metrics], data },
    }
    this.#writing = this.#writing.then(() =>
      this.write(found).catch((error: unknown) => console.warn('A sweep could not be kept:', error)),
    )
  }
}

function rowsOf({ shape: [count, width], data }: Tensor): Float32Array[] {
  return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width))
}
