/** Rows on a plane: the first two principal components, or UMAP of the first fifty. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import type { OpenCollection } from '../collection'
import type { Progress } from '../stream'
import { WorkerThread } from '../thread/worker-thread'
import { VectorSource, type VectorChoice } from '../vectors'
import { pca } from './pca'
import type { UmapCalls } from './umap-protocol'

export interface ScatterOptions extends VectorChoice {
  method: 'pca' | 'umap'
  neighbours: number
  minDistance: number
  seed: number
}

export interface Scatter {
  rows: Int32Array
  /** [row, 2] */
  points: Tensor
  /** Shares of the variance of the components; of PCA only. */
  explained: number[]
  notes: string[]
}

const UMAP_COMPONENTS = 50
/** Distances in the subspace are what UMAP sees, not its single directions. */
const UMAP_TOLERANCE = 1e-2
/** UMAP takes seconds for thousands of rows, and memory for each pair of neighbours. */
const UMAP_ROWS = 20_000
/** Progress counts in these: the reading, the components, then UMAP's layout. */
const STEPS = 100
const READING = 0.7

/**
 * @param rows all unless given
 * @throws PatchbayError as `pca`; `input.invalid` for too many rows for UMAP; `run.cancelled`
 */
export async function scatter(
  collection: OpenCollection,
  options: ScatterOptions,
  rows: Int32Array | null,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {},
): Promise<Scatter> {
  const umap = options.method === 'umap'
  if (umap && (rows?.length ?? collection.length) > UMAP_ROWS)
    throw new PatchbayError('input.invalid', `UMAP of more than ${UMAP_ROWS} rows would take too long.`, {
      field: 'filter',
      next: `Set a filter, for example row % ${Math.ceil((rows?.length ?? collection.length) / UMAP_ROWS)} = 0, or use PCA.`,
    })
  const source = new VectorSource(collection, options, rows)
  const forPca = umap ? STEPS / 2 : STEPS
  const report = (done: number): void => onProgress?.({ done: Math.floor(done), total: STEPS })
  const found = await pca(source, {
    components: umap ? UMAP_COMPONENTS : 2,
    tolerance: umap ? UMAP_TOLERANCE : undefined,
    seed: options.seed,
    signal,
    onRead: ({ done, total }) => report((READING * forPca * done) / total),
    onPass: (done, most) => report(forPca * (READING + ((1 - READING) * done) / most)),
  })
  const count = found.variances.length
  const notes = notesOf(found.rows.length, rows?.length ?? collection.length)
  if (!umap) {
    const explained = Array.from(found.variances, (variance) =>
      found.total === 0 ? 0 : variance / found.total,
    )
    return { rows: found.rows, points: onPlane(found.points, count), explained, notes }
  }
  if (found.rows.length < 4)
    throw new PatchbayError('input.invalid', 'UMAP needs at least four rows.', {
      field: 'filter',
      next: 'Set a wider filter, or use PCA.',
    })
  const thread = new WorkerThread<UmapCalls>('umap-worker.js', 'UMAP')
  try {
    const { neighbours, minDistance, seed } = options
    const points = await thread.ask(
      'umap',
      { points: found.points, width: count, neighbours, minDistance, seed },
      {
        signal,
        onProgress: (share) => report(forPca + share * (STEPS - forPca)),
      },
    )
    if (neighbours >= found.rows.length)
      notes.push(`There are only ${found.rows.length} rows, so fewer neighbours.`)
    return { rows: found.rows, points: { shape: [found.rows.length, 2], data: points }, explained: [], notes }
  } finally {
    thread.end()
  }
}

const notesOf = (found: number, asked: number): string[] =>
  found === asked ? [] : [`${asked - found} of ${asked} rows have no vector there and are left out.`]

/** The first two columns of [n, count], zero where there is one only. */
function onPlane(points: Float32Array, count: number): Tensor {
  const n = points.length / count
  const data = new Float32Array(2 * n)
  for (let i = 0; i < n; i++)
    for (let j = 0; j < Math.min(2, count); j++) data[2 * i + j] = points[i * count + j]
  return { shape: [n, 2], data }
}
