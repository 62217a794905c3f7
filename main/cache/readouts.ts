/**
 * What was read out of residual streams (lens, next tokens, divergences), in memory and on disk, under the hash of the
 * streams and the question: a lens that is looked at again runs nothing, also where the streams themselves are kept on disk.
 */
import { createHash } from 'node:crypto'
import { sizeOf, type Tensor } from '../../preload/tensor'
import type { Readout, ReadoutHead, ReadoutOptions } from '../runtime/readout'
import { ByteLru } from './byte-lru'
import { KeptFiles, type KeptArray, type KeptArrays } from './kept-files'
import { tensorHash } from './key'

const MOST_FILES = 2000
const MEMORY_BYTES = 32 * 2 ** 20
/** Larger ones (all logits of long prompts) are kept in memory alone. */
const FILE_BYTES = 4 * 2 ** 20

const floatFields = ['topLogits', 'topLogProbs', 'entropy', 'targetLogits', 'targetLogProbs'] as const
const intFields = ['topIds', 'targetRanks'] as const

type Head = Pick<ReadoutHead, 'read' | 'divergence'>

export class KeptReadouts {
  readonly #memory = new ByteLru<KeptArrays>(MEMORY_BYTES, bytesOf)
  readonly #files: KeptFiles
  readonly #writing = new Set<Promise<void>>()

  /** @param producer versions of what computes; their numbers may differ in the last digits */
  constructor(
    folder: string,
    private readonly producer: string,
  ) {
    this.#files = new KeptFiles(folder, MOST_FILES)
  }

  /** As `head.read`. @param model handle, which says on what provider and in what precision */
  async read(model: string, head: Head, residuals: Tensor, options: ReadoutOptions): Promise<Readout> {
    const { k, targets } = options
    const key = this.#key([
      model,
      'read',
      tensorHash(residuals),
      `${k} ${targets?.perRow ?? 0} ${targets === undefined ? '' : [...targets.ids].join()}`,
    ])
    const found = readoutOf(await this.#find(key))
    if (found !== null) return found
    const fresh = await head.read(residuals, options)
    this.#keep(
      key,
      Object.fromEntries([...floatFields, ...intFields].map((name) => [name, flat(fresh[name])])),
    )
    return fresh
  }

  /** As `head.divergence`. */
  async divergence(
    model: string,
    head: Head,
    p: Tensor,
    q: Tensor,
    options: { signal?: AbortSignal } = {},
  ): Promise<Float32Array> {
    const key = this.#key([model, 'divergence', tensorHash(p), tensorHash(q)])
    const found = (await this.#find(key))?.divergence?.data
    if (found instanceof Float32Array) return found
    const fresh = await head.divergence(p, q, options)
    this.#keep(key, { divergence: flat(fresh) })
    return fresh
  }

  /** Waits until all is written. */
  async close(): Promise<void> {
    await Promise.all(this.#writing)
  }

  #key(parts: readonly string[]): string {
    return createHash('sha256')
      .update(JSON.stringify([this.producer, ...parts]))
      .digest('hex')
  }

  async #find(key: string): Promise<KeptArrays | null> {
    const kept = this.#memory.get(key)
    if (kept !== undefined) return kept
    const read = (await this.#files.read(key))?.arrays ?? null
    if (read !== null) this.#memory.set(key, read)
    return read
  }

  /** A disk that takes nothing costs no result: it is computed again next time. */
  #keep(key: string, arrays: KeptArrays): void {
    this.#memory.set(key, arrays)
    if (bytesOf(arrays) > FILE_BYTES) return
    const writing = this.#files
      .write(key, arrays)
      .catch((error: unknown) => console.warn('A readout could not be kept:', error))
      .finally(() => this.#writing.delete(writing))
    this.#writing.add(writing)
  }
}

const flat = (data: Float32Array | Int32Array): KeptArray => ({ shape: [data.length], data })

const bytesOf = (arrays: KeptArrays): number =>
  Object.values(arrays).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)

/** Null where a field is missing or of another type. */
function readoutOf(arrays: KeptArrays | null): Readout | null {
  if (arrays === null) return null
  const float = (name: (typeof floatFields)[number]): Float32Array | null => {
    const data = arrays[name]?.data
    return data instanceof Float32Array ? data : null
  }
  const int = (name: (typeof intFields)[number]): Int32Array | null => {
    const data = arrays[name]?.data
    return data instanceof Int32Array ? data : null
  }
  const [topIds, targetRanks] = [int('topIds'), int('targetRanks')]
  const [topLogits, topLogProbs, entropy, targetLogits, targetLogProbs] = floatFields.map(float)
  if (topIds === null || targetRanks === null) return null
  if (topLogits === null || topLogProbs === null || entropy === null) return null
  if (targetLogits === null || targetLogProbs === null) return null
  return { topIds, targetRanks, topLogits, topLogProbs, entropy, targetLogits, targetLogProbs }
}
