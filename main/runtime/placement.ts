/**
 * Decides, before anything is compiled, where each weight's numbers are: in the checkpoint's own file as they lie, or in a
 * file that is made once from what is stored otherwise (quantised, 16-bit, permuted). Of a model that stays quantised, the
 * matrices that can are packed into that file, the others become float32 as ever.
 */
import path from 'node:path'
import { PatchbayError } from '../../preload/errors'
import type { Precision } from '../../preload/run'
import { sizeOf } from '../../preload/tensor'
import type { Checkpoint, TensorEntry } from '../models/formats/checkpoint'
import { codeFormats } from '../models/formats/quants/codes'
import { materialise, type PlannedTensor } from '../models/materialise'
import { packedLayout, readPacked, type PackedLayout, type PackedRange } from '../models/quantised'
import { readWeight } from '../models/read-weight'
import { matricesOf, weightsOf, type TransformerSpec } from '../models/spec'
import { contiguousPart, type Weight } from '../models/weights'
import type { GraphBuilder } from '../onnx/builder'
import type { Value } from '../onnx/graph'
import type { AddWeight } from './graph/context'
import type { QuantisedMatrix } from './graph/quantised'
import type { FileRange } from './residency'
import { rowReader, type RowReader } from './table-rows'

/** Small weights that are not stored as plain float32 go into the graphs themselves, up to this many elements. */
const INLINE_ELEMENTS = 8192

export interface PlacedWeights {
  /** Folder that holds every file which the graphs point into. */
  readonly folder: string
  readonly add: AddWeight
  /** Bytes of all weights as the graphs have them, each counted once. */
  readonly bytes: number
  /** The same of some of them. */
  readonly bytesOf: (weights: readonly Weight[]) => number
  /** Where they lie in files. */
  readonly rangesOf: (weights: readonly Weight[]) => FileRange[]
  /** Reads rows of the embedding's table from the checkpoint; null where the table's graph maps it. */
  readonly tokenRows: RowReader | null
  /** Whether any stays quantised. */
  readonly quantised: boolean
  /** Whether the graphs point into the checkpoint's own files. */
  readonly inPlace: boolean
}

export interface PlacementRequest {
  readonly checkpoint: Checkpoint
  readonly spec: TransformerSpec
  /** Identifies the checkpoint's content. */
  readonly fingerprint: string
  /** float32 unless given */
  readonly precision?: Precision
  /** Where a file of converted weights may be kept. */
  readonly cacheDir: string
  /**
   * Whether rows of the embedding's table are read when a run needs them, where they can be: mapped, all of it becomes
   * resident as tokens touch it. Those of a table that stays quantised are read in any case.
   */
  readonly readTokenRows?: boolean
  readonly signal?: AbortSignal
  /** Bytes of converted weights written, of all. */
  readonly onProgress?: (done: number, total: number) => void
}

type Place =
  | { readonly kind: 'file'; readonly file: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'inline'; readonly data: Float32Array }
  | { readonly kind: 'packed'; readonly file: string; readonly offset: number; readonly layout: PackedLayout }

/**
 * @throws PatchbayError `model.incomplete` for a tensor that is absent, `model.unsupported` for one of another shape and for
 *   a model to be kept quantised in which nothing is, and what `materialise` throws
 */
export async function placeWeights(request: PlacementRequest): Promise<PlacedWeights> {
  const { checkpoint, spec } = request
  const weights = weightsOf(spec)
  for (const weight of weights) entryOf(checkpoint, weight)
  const layouts =
    request.precision === 'quantised' ? requireLayouts(request) : new Map<string, PackedLayout>()
  const bytesOf = (some: readonly Weight[]): number => weightBytes(some, layouts)
  const table = spec.embedding.tokens
  const reads = request.readTokenRows === true || layouts.has(table.name)
  const tokenRows = reads ? rowReader(checkpoint, table) : null
  const facts = { bytes: bytesOf(weights), bytesOf, quantised: layouts.size > 0, tokenRows }

  const inFile = new Map(
    weights.map((weight) => [weight.name, placeInFile(entryOf(checkpoint, weight), weight)]),
  )
  const folders = new Set(checkpoint.files.map((file) => path.dirname(file)))
  const large = weights.filter((weight) => sizeOf(weight.shape) > INLINE_ELEMENTS)
  const inPlace =
    layouts.size === 0 && folders.size === 1 && large.every((weight) => inFile.get(weight.name) !== null)
  if (!inPlace) return { ...(await convert(request, weights, layouts)), ...facts, inPlace }

  const places = new Map<string, Place>()
  for (const weight of weights) {
    const place = inFile.get(weight.name) ?? null
    const inline = async (): Promise<Place> => ({
      kind: 'inline',
      data: await readWeight(checkpoint, weight),
    })
    places.set(weight.name, place ?? (await inline()))
  }
  return {
    folder: path.dirname(checkpoint.files[0]),
    add: adder(places),
    rangesOf: rangesIn(places),
    ...facts,
    inPlace,
  }
}

/** Bytes of weights, of which those in `layouts` are packed. */
export function weightBytes(weights: readonly Weight[], layouts: ReadonlyMap<string, PackedLayout>): number {
  const bytes = ({ name, shape }: Weight): number => layouts.get(name)?.byteLength ?? 4 * sizeOf(shape)
  return weights.reduce((sum, weight) => sum + bytes(weight), 0)
}

/** The matrices of a model that can stay quantised, by name. */
export function packedLayouts(checkpoint: Checkpoint, spec: TransformerSpec): Map<string, PackedLayout> {
  const layouts = new Map<string, PackedLayout>()
  for (const matrix of matricesOf(spec)) {
    const layout = packedLayout(entryOf(checkpoint, matrix), matrix)
    if (layout !== null) layouts.set(matrix.name, layout)
  }
  return layouts
}

/** @throws PatchbayError `model.unsupported` where there is none */
function requireLayouts({ checkpoint, spec }: PlacementRequest): Map<string, PackedLayout> {
  const layouts = packedLayouts(checkpoint, spec)
  if (layouts.size > 0) return layouts
  throw new PatchbayError(
    'model.unsupported',
    `None of the model’s matrices is in a block type that can be computed with as it is (${Object.keys(codeFormats).join(', ')}).`,
    { next: 'Open it in float32.', field: 'precision' },
  )
}

/** Writes all weights to one file in the cache folder, or finds them there. */
async function convert(
  { checkpoint, fingerprint, precision = 'float32', cacheDir, signal, onProgress }: PlacementRequest,
  weights: readonly Weight[],
  layouts: ReadonlyMap<string, PackedLayout>,
): Promise<Pick<PlacedWeights, 'folder' | 'add' | 'rangesOf'>> {
  const planned = (weight: Weight): PlannedTensor => {
    const { name, shape } = weight
    const layout = layouts.get(name)
    if (layout === undefined) return { name, shape, produce: () => readWeight(checkpoint, weight) }
    const produce = (): Promise<Uint8Array> => readPacked(checkpoint, weight, layout)
    return { name, shape: [layout.byteLength], storage: 'U8', produce }
  }
  const file = await materialise({
    plan: weights.map(planned),
    target: path.join(cacheDir, `${fingerprint}.${precision}.safetensors`),
    key: fingerprint,
    signal,
    onProgress,
  })
  try {
    const places = new Map<string, Place>()
    for (const { name } of weights) {
      const entry = file.tensors.get(name)
      if (entry === undefined) throw new PatchbayError('internal', `The converted weights lack ${name}.`)
      const layout = layouts.get(name)
      const place = wholeTensor(entry)
      places.set(name, layout === undefined ? place : { ...place, kind: 'packed', layout })
    }
    return { folder: path.dirname(file.path), add: adder(places), rangesOf: rangesIn(places) }
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

const wholeTensor = (entry: TensorEntry) => ({
  kind: 'file' as const,
  file: path.basename(entry.file),
  offset: entry.offset,
  length: entry.byteLength,
})

const rangesIn =
  (places: ReadonlyMap<string, Place>) =>
  (weights: readonly Weight[]): FileRange[] =>
    weights.flatMap(({ name }) => {
      const place = places.get(name)
      if (place === undefined || place.kind === 'inline') return []
      const length = place.kind === 'file' ? place.length : place.layout.byteLength
      return [{ file: place.file, offset: place.offset, length }]
    })

function adder(places: ReadonlyMap<string, Place>): AddWeight {
  return (g, weight) => {
    const { name, shape } = weight
    const place = places.get(name)
    if (place === undefined) throw new PatchbayError('internal', `The weight ${name} has no place.`)
    if (place.kind === 'packed') return addPacked(g, name, place)
    return g.once(name, () =>
      place.kind === 'inline'
        ? g.inline(name, 'float32', shape, place.data)
        : g.external(name, 'float32', shape, place),
    )
  }
}

function addPacked(
  g: GraphBuilder,
  name: string,
  { file, offset, layout }: Extract<Place, { kind: 'packed' }>,
): QuantisedMatrix {
  const { rows, columns, group, zero } = layout
  const at = (range: PackedRange) => ({ file, offset: offset + range.offset, length: range.length })
  const groups = [rows, columns / group]
  const numbers = (part: string, range: PackedRange): Value =>
    g.once(`${name} ${part}`, () => g.external(`${name} ${part}`, 'float32', groups, at(range)))
  const digits = (range: PackedRange, digit: number): Value => {
    const part = `${name} digit ${digit}`
    return g.once(part, () => g.external(part, 'uint8', [...groups, group / 2], at(range)))
  }
  return {
    rows,
    columns,
    group,
    zero,
    planes: layout.planes.map(digits),
    scales: numbers('scales', layout.scales),
    shifts: layout.shifts === null ? null : numbers('shifts', layout.shifts),
  }
}
