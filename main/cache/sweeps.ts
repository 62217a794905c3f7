/**
 * What sweeps have found, site by site, on disk: a sweep that is asked for again, in this window or another, runs only what
 * was never finished. A file is whole or not there; one that can not be trusted is computed again.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import path from 'node:path'
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import type { KnownSites } from '../../preload/sweep'
import type { Tensor } from '../../preload/tensor'
import { writeWhole } from '../files/durable-file'
import { decodeSafetensors, encodeSafetensors } from '../models/formats/safetensors'
import { tensorHash } from './key'

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
  constructor(private readonly folder: string) {}

  /** Sites of an earlier sweep with this key; null without any that can be read. */
  async known(key: string): Promise<KnownSites | null> {
    const file = this.#file(key)
    const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT')
        console.warn('A kept sweep could not be read, and is computed again:', error)
      return null
    })
    const found = bytes === null ? null : decode(bytes)
    // The file's time says when it was last of use.
    if (found !== null) await utimes(file, new Date(), new Date())
    return found
  }

  /** Keeps what a sweep finds from now on, together with what was known before. */
  record(key: string, before: KnownSites | null): SweepRecord {
    return new SweepRecord(before, async (found) => {
      await mkdir(this.folder, { recursive: true })
      await writeWhole(this.#file(key), encode(found))
      await this.#forgetOld()
    })
  }

  #file(key: string): string {
    return path.join(this.folder, `${key}.safetensors`)
  }

  async #forgetOld(): Promise<void> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith('.safetensors'))
    if (names.length <= MOST_SWEEPS) return
    const files = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.folder, name)
        return { file, used: (await stat(file)).mtimeMs }
      }),
    )
    files.sort((a, b) => a.used - b.used)
    for (const { file } of files.slice(0, files.length - MOST_SWEEPS)) await rm(file, { force: true })
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

const encode = ({ sites, raw }: KnownSites): Uint8Array =>
  encodeSafetensors(
    [
      { name: 'sites', shape: [sites.length], data: sites },
      { name: 'raw', shape: raw.shape, data: raw.data },
    ],
    { digest: digestOf(sites, raw.data) },
  )

/** Null for a file that is damaged or none of ours. */
function decode(bytes: Uint8Array): KnownSites | null {
  try {
    const { tensors, metadata } = decodeSafetensors(bytes)
    const [places, values] = [tensors.get('sites'), tensors.get('raw')]
    if (places?.storage !== 'I32' || values?.storage !== 'F32') return null
    const sites = new Int32Array(new Uint8Array(places.bytes).buffer)
    const data = new Float32Array(new Uint8Array(values.bytes).buffer)
    if (metadata.get('digest') !== digestOf(sites, data)) return null
    return { sites, raw: { shape: [...values.shape], data } }
  } catch (error) {
    if (error instanceof PatchbayError) return null
    throw error
  }
}

/** sha256 of both arrays as they lie in memory. */
function digestOf(...arrays: readonly (Int32Array | Float32Array)[]): string {
  const hash = createHash('sha256')
  for (const { buffer, byteOffset, byteLength } of arrays)
    hash.update(new Uint8Array(buffer, byteOffset, byteLength))
  return hash.digest('hex')
}
