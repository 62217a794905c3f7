/** A place that is patched alone: where it acts, and how far what follows from it can differ from the base run. */
import { blockSites, hookDims, hookName, type BlockSite, type HookPoint } from '../../../preload/hooks'
import { sizeOf, type Tensor } from '../../../preload/tensor'

export interface PatchSite {
  readonly point: HookPoint
  /** Ascending; of queries at scores and patterns. */
  readonly positions: readonly number[]
  /** null for all. */
  readonly heads: readonly number[] | null
  readonly units: readonly number[] | null
  /**
   * What the site itself puts at one of its positions instead of the source's activation: the whole activation there, or
   * null for the base's.
   */
  readonly own?: (position: number) => Float32Array | null
}

/** Activations by hook name, without the batch axis. */
export type Activations = ReadonlyMap<string, Tensor>

/** Sites of a block at which a change of one position reaches other positions within the block. */
const reaching: ReadonlySet<string> = new Set<BlockSite>([
  'hook_resid_pre',
  'ln1.hook_scale',
  'ln1.hook_normalized',
  'attn.hook_k',
  'attn.hook_v',
  'attn.hook_rot_k',
])

/** Whether a change of one position stays at that position until the end of the block. */
export const isLocal = ({ layer, site }: HookPoint): boolean =>
  layer !== null && Object.hasOwn(blockSites, site) && !reaching.has(site)

/**
 * The indices that a site selects, axis by axis of the hook point without its batch axis.
 * @param shape of the activation without its batch axis
 */
export function selectedAxes(
  { point, heads, units, positions }: PatchSite,
  shape: readonly number[],
): readonly (readonly number[])[] {
  const dims = hookDims(point).slice(1)
  return dims.map((dim, axis) => {
    if (dim === 'pos' || dim === 'q_pos') return positions
    if ((dim === 'head' || dim === 'kv_head') && heads !== null) return heads
    if (axis === dims.length - 1 && units !== null) return units
    return Array.from({ length: shape[axis] }, (_, i) => i)
  })
}

/** Flat offsets of the selected elements of an activation of this shape, in row-major order. */
export function offsetsOf(axes: readonly (readonly number[])[], shape: readonly number[]): Int32Array {
  let offsets = Int32Array.of(0)
  axes.forEach((indices, axis) => {
    const next = new Int32Array(offsets.length * indices.length)
    for (let i = 0; i < offsets.length; i++)
      for (let j = 0; j < indices.length; j++)
        next[i * indices.length + j] = offsets[i] * shape[axis] + indices[j]
    offsets = next
  })
  return offsets
}

/**
 * What a site puts where.
 * @param source of its hook point
 * @param shape of the activation without its batch axis
 * @param put takes flat offsets with their new values
 */
export function replace(
  site: PatchSite,
  source: Tensor | undefined,
  shape: readonly number[],
  put: (at: number, value: number) => void,
): void {
  if (site.own !== undefined) {
    const width = sizeOf(shape.slice(1))
    for (const position of site.positions)
      site.own(position)?.forEach((value, i) => put(position * width + i, value))
  } else if (source !== undefined) for (const at of placesOf(site, shape)) put(at, source.data[at])
}

/** Flat offsets of the elements that a site selects. Whole positions lie together, and are most of what is asked for. */
function placesOf(site: PatchSite, shape: readonly number[]): Int32Array {
  const { point, positions, heads, units } = site
  if (heads !== null || units !== null || hookDims(point)[1] !== 'pos')
    return offsetsOf(selectedAxes(site, shape), shape)
  const width = sizeOf(shape.slice(1))
  const places = new Int32Array(positions.length * width)
  positions.forEach((position, row) => {
    for (let i = 0; i < width; i++) places[row * width + i] = position * width + i
  })
  return places
}

/**
 * The site with only those positions at which its patch can change what is read, or null where none can: where base and
 * source are the same bit for bit, behind every position that is read, and (behind the last block's attention) at any
 * other than those.
 * @param reads positions of the residual stream that is read at the end
 */
export function narrowed(
  site: PatchSite,
  layers: number,
  base: Activations,
  source: Activations,
  reads: readonly number[],
): PatchSite | null {
  const { point } = site
  const last = Math.max(...reads)
  const ends = point.layer === layers - 1 && isLocal(point)
  const [was, becomes] = [base, source].map((activations) => activations.get(hookName(point)))
  const differs = (position: number): boolean => {
    if (site.own !== undefined) return site.own(position) !== null
    if (was === undefined || becomes === undefined) return true
    const offsets = placesOf({ ...site, positions: [position] }, was.shape)
    // NaN differs from itself: then it is computed.
    return offsets.some((at) => was.data[at] !== becomes.data[at])
  }
  const positions = site.positions.filter(
    (position) => position <= last && (!ends || reads.includes(position)) && differs(position),
  )
  return positions.length === 0 ? null : { ...site, positions }
}
