/**
 * What sweeps have found, site by site, on disk: a sweep that is asked for again, in this window or another, runs only what
 * was never finished.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../../preload/canonical'
import { sweepResult, type KnownSites, type SweepResult } from '../../preload/sweep'
import type { Tensor } from '../../preload/tensor'
import { tensorHash } from './key'
import { KeptFiles } from './kept-files'

/** Files that are kept, two a sweep; those that were asked for longest ago go first. */
const MOST_FILES = 1000
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
    this.#files = new KeptFiles(folder, MOST_FILES)
  }

  /** Sites of an earlier sweep with this key; null without any that can be read. */
  async known(key: string): Promise<KnownSites | null> {
    const found = (await this.#files.read(key))?.arrays
    const [sites, raw] = [found?.sites?.data, found?.raw]
    if (!(sites instanceof Int32Array) || !(raw?.data instanceof Float32Array)) return null
    return { sites, raw: { shape: [...raw.shape], data: raw.data } }
  }

  /** What a sweep with this key ended with; null without any that can be read. */
  async finished(key: string): Promise<SweepResult | null> {
    const kept = await this.#files.read(resultKey(key))
    if (kept === null) return null
    const result = sweepResult.safeParse(JSON.parse(kept.note, withArrays))
    return result.success ? result.data : null
  }

  /** Keeps what a sweep ended with. A disk that takes nothing costs no result: it is computed again next time. */
  async finish(key: string, result: SweepResult): Promise<void> {
    await this.#files
      .write(resultKey(key), {}, JSON.stringify(result, withoutArrays))
      .catch((error: unknown) => console.warn('A sweep could not be kept:', error))
  }

  /** Keeps what a sweep finds from now on, together with what was known before. */
  record(key: string, before: KnownSites | null): SweepRecord {
    return new SweepRecord(before, ({ sites, raw }) =>
      this.#files.write(key, { sites: { shape: [sites.length], data: sites }, raw }),
    )
  }
}

const resultKey = (key: string): string => `${key}-result`

/** Float arrays as the base64 of their bytes: JSON knows no NaN, and would round. */
const withoutArrays = (_: string, value: unknown): unknown =>
  value instanceof Float32Array
    ? { float32: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
    : value

const encodedArray = z.strictObject({ float32: z.base64() })

function withArrays(_: string, value: unknown): unknown {
  const encoded = encodedArray.safeParse(value)
  return encoded.success
    ? new Float32Array(new Uint8Array(Buffer.from(encoded.data.float32, 'base64')).buffer)
    : value
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
