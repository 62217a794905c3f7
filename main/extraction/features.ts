/** Features of a dictionary (SAELens folder) as a reduction: of each position the k that are most active. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import { Dictionary } from '../training/dictionary/dictionary'
import { openSaelensFolder } from '../training/dictionary/saelens-folder'
import { topOf, type Axes, type Reducer } from './reductions'

/** Bytes that the features of some positions may take before they are cut down to the k largest. */
const FEATURE_BYTES = 32e6

export class FeatureReader {
  private constructor(
    private readonly dictionary: Dictionary,
    /** sha256 in hex of the folder's two files. */
    readonly hash: string,
  ) {}

  /** @throws PatchbayError as opening the folder does */
  static async open(folder: string): Promise<FeatureReader> {
    const saved = await openSaelensFolder(folder)
    const hash = await folderHash(folder)
    return new FeatureReader(await Dictionary.create(saved), hash)
  }

  /**
   * [pos, …] → the k largest features of each position and their indices, [pos, k] each.
   * @throws PatchbayError `input.invalid` for a dictionary of another width, or with fewer features
   */
  at(k: number, { dims, sizes }: Axes): Reducer {
    const { dIn, dSae } = this.dictionary.config
    const width = sizes.slice(1).reduce<number>((product, size) => product * (size ?? NaN), 1)
    if (dims[0] !== 'pos' || width !== dIn)
      throw unusable(
        `The dictionary reads ${dIn} numbers of a position, where the hook point has [${dims.map((dim, i) => sizes[i] ?? dim).join(', ')}].`,
        'Use it at the hook point that it was trained on.',
      )
    if (k > dSae)
      throw unusable(`The dictionary has ${dSae} features, fewer than ${k}.`, 'Ask for fewer of them.')
    const axes = { dims: ['pos', 'feature'], sizes: [null, k] }
    const extra = { content: this.hash }
    return {
      parts: [
        { ...axes, extra: { ...extra, part: 'values' } },
        { ...axes, extra: { ...extra, part: 'indices' } },
      ],
      reduce: async ({ shape: [count], data }) => {
        const values = new Float32Array(count * k)
        const indices = new Float32Array(count * k)
        const step = Math.max(1, Math.floor(FEATURE_BYTES / (4 * dSae)))
        for (let from = 0; from < count; from += step) {
          const to = Math.min(count, from + step)
          const x = { shape: [to - from, dIn], data: data.subarray(from * dIn, to * dIn) }
          const [top, at] = topOf((await this.dictionary.run(x)).features, k)
          values.set(top.data, from * k)
          indices.set(at.data, from * k)
        }
        const shape = [count, k]
        return [
          { shape, data: values },
          { shape, data: indices },
        ]
      },
    }
  }

  release(): Promise<void> {
    return this.dictionary.release()
  }
}

async function folderHash(folder: string): Promise<string> {
  const hash = createHash('sha256')
  try {
    for (const name of ['cfg.json', 'sae_weights.safetensors'])
      await pipeline(createReadStream(path.join(folder, name)), async (chunks) => {
        for await (const chunk of chunks) hash.update(chunk as Buffer)
      })
  } catch (error) {
    throw asPatchbayError(error)
  }
  return hash.digest('hex')
}

const unusable = (message: string, next: string): PatchbayError =>
  new PatchbayError('input.invalid', message, { field: 'reduction.folder', next })
