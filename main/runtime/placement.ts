/**
 * Decides, before anything is compiled, where each weight's float32 numbers are: in the checkpoint's own file as they lie,
 * or in a file that is made once from what is stored otherwise (quantised, 16-bit, permuted).
 */
import path from 'node:path'
import { PatchbayError } from '../../preload/errors'
import { sizeOf } from '../../preload/tensor'
import type { Checkpoint, TensorEntry } from '../models/formats/checkpoint'
import { materialise } from '../models/materialise'
import { readWeight } from '../models/read-weight'
import { weightsOf, type TransformerSpec } from '../models/spec'
import { contiguousPart, type Weight } from '../models/weights'
import type { AddWeight } from './graph/context'

/** Small weights that are not stored as plain float32 go into the graphs themselves, up to this many elements. */
const INLINE_ELEMENTS = 8192

export interface PlacedWeights {
  /** Folder that holds every file which the graphs point into. */
  readonly folder: string
  readonly add: AddWeight
  /** Bytes of float32 weights, each counted once. */
  readonly bytes: number
  /** Whether the graphs point into the checkpoint's own files. */
  readonly inPlace: boolean
}

export interface PlacementRequest {
  readonly checkpoint: Checkpoint
  readonly spec: TransformerSpec
  /** Identifies the checkpoint's content. */
  readonly fingerprint: string
  /** Where a file of converted weights may be kept. */
  readonly cacheDir: string
  readonly signal?: AbortSignal
  /** Bytes of converted weights written, of all. */
  readonly onProgress?: (done: number, total: number) => void
}

type Place =
  | { readonly kind: 'file'; readonly file: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'inline'; readonly data: Float32Array }

/**
 * @throws PatchbayError `model.incomplete` for a tensor that is absent, `model.unsupported` for one of another shape,
 *   and what `materialise` throws
 */
export async function placeWeights(request: PlacementRequest): Promise<PlacedWeights> {
  const { checkpoint, spec } = request
  const weights = weightsOf(spec)
  for (const weight of weights) entryOf(checkpoint, weight)
  const bytes = weights.reduce((sum, weight) => sum + 4 * sizeOf(weight.shape), 0)

  const inFile = new Map(
    weights.map((weight) => [weight.name, placeInFile(entryOf(checkpoint, weight), weight)]),
  )
  const folders = new Set(checkpoint.files.map((file) => path.dirname(file)))
  const large = weights.filter((weight) => sizeOf(weight.shape) > INLINE_ELEMENTS)
  const inPlace = folders.size === 1 && large.every((weight) => inFile.get(weight.name) !== null)
  if (!inPlace) return { ...(await convert(request, weights)), bytes, inPlace }

  const places = new Map<string, Place>()
  for (const weight of weights) {
    const place = inFile.get(weight.name) ?? null
    const inline = async (): Promise<Place> => ({
      kind: 'inline',
      data: await readWeight(checkpoint, weight),
    })
    places.set(weight.name, place ?? (await inline()))
  }
  return { folder: path.dirname(checkpoint.files[0]), add: adder(places), bytes, inPlace }
}

/** Writes all weights to one float32 file in the cache folder, or finds them there. */
async function convert(
  { checkpoint, fingerprint, cacheDir, signal, onProgress }: PlacementRequest,
  weights: readonly Weight[],
): Promise<{ folder: string; add: AddWeight }> {
  const file = await materialise({
    plan: weights.map((weight) => ({
      name: weight.name,
      shape: weight.shape,
      produce: () => readWeight(checkpoint, weight),
    })),
    target: path.join(cacheDir, `${fingerprint}.float32.safetensors`),
    key: fingerprint,
    signal,
    onProgress,
  })
  try {
    const places = new Map<string, Place>()
    for (const weight of weights) {
      const entry = file.tensors.get(weight.name)
      const place = entry === undefined ? null : wholeTensor(entry)
      if (place === null) throw new PatchbayError('internal', `The converted weights lack ${weight.name}.`)
      places.set(weight.name, place)
    }
    return { folder: path.dirname(file.path), add: adder(places) }
  } finally {
    await file.close()
  }
}

function entryOf(checkpoint: Checkpoint, weight: Weight): TensorEntry {
  const entry = checkpoint.tensors.get(weight.tensor)
  if (entry === undefined)
    throw new PatchbayError('model.incomplete', `The checkpoint has no tensor ${weight.tensor}.`, {
      next: 'Download the model again, with all its files.',
      field: weight.tensor,
    })
  if (entry.shape.join() !== weight.stored.join())
    throw new PatchbayError(
      'model.unsupported',
      `The tensor ${weight.tensor} is ${entry.shape.join('×')}, where the configuration makes it ${weight.stored.join('×')}.`,
      {
        next: 'Check that config.json and the weights belong together.',
        field: weight.tensor,
        file: entry.file,
      },
    )
  return entry
}

/** Where the weight lies as plain, aligned float32, or null. */
function placeInFile(entry: TensorEntry, weight: Weight): Place | null {
  const part = contiguousPart(weight)
  if (part === null || entry.storage !== 'F32') return null
  const offset = entry.offset + 4 * part.offset
  if (offset % 4 !== 0) return null
  return { kind: 'file', file: path.basename(entry.file), offset, length: 4 * part.length }
}

const wholeTensor = (entry: TensorEntry): Place => ({
  kind: 'file',
  file: path.basename(entry.file),
  offset: entry.offset,
  length: entry.byteLength,
})

function adder(places: ReadonlyMap<string, Place>): AddWeight {
  return (g, weight) => {
    const place = places.get(weight.name)
    if (place === undefined) throw new PatchbayError('internal', `The weight ${weight.name} has no place.`)
    return g.once(weight.name, () =>
      place.kind === 'inline'
        ? g.inline(weight.name, 'float32', weight.shape, place.data)
        : g.external(weight.name, 'float32', weight.shape, place),
    )
  }
}
