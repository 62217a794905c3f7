/**
 * Features of a dictionary as sites. What a patched feature puts at a position is computed beforehand, from its activations
 * on base and source: x + (f(source) − f(base)) · decoder row. Only that row's direction changes, so that what the
 * dictionary does not reconstruct stays the base's (Marks et al. 2024 keep such error terms too).
 */
import type { SweepFeatures, SweepPlan, SweepSource } from '../../../preload/sweep'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { RunPair } from './pairs'
import { checkIndices, invalid, oneLength, pointOf, resolved, type SiteList, type SweepSite } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'

/** A sparse autoencoder or transcoder, as far as patching needs it. */
export interface FeatureDictionary {
  /** Where activations are read, and where features write: another place of a transcoder. Null where it is not known. */
  readonly hook: string | null
  readonly outputHook: string | null
  readonly dIn: number
  readonly dOut: number
  readonly dSae: number
  /** Features [rows, d_sae] of activations [rows, …]. */
  encode(x: Tensor): Promise<Tensor>
  /** What a feature of activation 1 adds to the reconstruction, [d_out], before any normalisation is undone. */
  direction(feature: number): Float32Array
  /** What undoing the normalisation multiplies it by, for each row of x [rows, …]. */
  scales(x: Tensor): Float64Array
}

/** A dictionary at its hook points of a model, canonical. */
export interface PlacedDictionary {
  readonly dictionary: FeatureDictionary
  readonly reads: string
  readonly writes: string
}

/** Features on one pair. */
export interface PairFeatures {
  /** Activations [pos] of features that are active somewhere. */
  readonly base: ReadonlyMap<number, Float32Array>
  readonly source: ReadonlyMap<number, Float32Array>
  /** The base's activation at a position with the source's activation of a feature; null where the two are the same. */
  replaced(feature: number, position: number): Float32Array | null
}

/**
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`, `input.invalid` for a dictionary that does not say where it
 *   belongs or does not fit there, and for features or a source that there are not
 */
export function placed(
  model: PatchingModel,
  dictionary: FeatureDictionary,
  { features }: SweepFeatures,
  source: SweepSource,
): PlacedDictionary {
  const { hook, outputHook, dIn, dOut, dSae } = dictionary
  if (hook === null)
    throw invalid(
      'The dictionary does not say at which hook point it belongs',
      'target.dictionary',
      'Choose a dictionary whose cfg.json names a hook point.',
    )
  if (source.kind === 'mean')
    throw invalid(
      'Features can not be replaced by a mean: the mean activation encodes to other features than their means',
      'source',
      'Choose resample, zero, or the other prompt.',
    )
  const writes = outputHook ?? hook
  for (const [name, size] of [
    [hook, dIn],
    [writes, dOut],
  ] as const) {
    const { dims, sizes, name: canonical } = model.runnable.hook(name)
    const width = sizeOf(sizes.slice(2).map((one) => one ?? 0))
    if (dims[1] !== 'pos' || width !== size)
      throw invalid(
        `The dictionary has activations of ${size} numbers at ${canonical}, where the model has ${dims[1] === 'pos' ? `${width}` : 'none for each position'}`,
        'target.dictionary',
        'Choose a dictionary of this model.',
      )
  }
  checkIndices(features ?? [], dSae, 'target.features', `the dictionary has ${dSae} features`)
  return { dictionary, reads: model.runnable.hook(hook).name, writes: resolved(model, writes).hook }
}

/** Encodes what base and source have; with `zero` as source features are 0. */
export async function featuresOn(
  pair: RunPair,
  { dictionary, reads, writes }: PlacedDictionary,
  source: SweepSource,
): Promise<PairFeatures> {
  const x = need(pair.base.activations, reads)
  const base = await encoded(dictionary, x, pair.partnered)
  const other =
    source.kind === 'zero'
      ? new Map<number, Float32Array>()
      : await encoded(dictionary, need(pair.source, reads), pair.partnered)
  const scales = dictionary.scales(x)
  const written = need(pair.base.activations, writes)
  const width = dictionary.dOut
  return {
    base,
    source: other,
    replaced(feature, position) {
      const change = (other.get(feature)?.[position] ?? 0) - (base.get(feature)?.[position] ?? 0)
      if (change === 0) return null
      const along = dictionary.direction(feature)
      const value = written.data.slice(position * width, (position + 1) * width)
      const factor = change * scales[position]
      for (let i = 0; i < width; i++) value[i] += factor * along[i]
      return value
    },
  }
}

/** Sites of features: those listed, or the most different or active ones on the pairs. */
export function featureSites(
  { by, features: listed, top, most, positions }: SweepFeatures,
  { writes }: PlacedDictionary,
  pairs: readonly PairFeatures[],
  lengths: readonly number[],
): { list: SiteList; activations: NonNullable<SweepPlan['activations']> } {
  const byPosition = by.length > 0
  if (byPosition) oneLength(lengths)
  checkIndices(positions ?? [], Math.min(...lengths), 'target.positions')
  const [length] = lengths
  const along = positions ?? Array.from({ length }, (_, i) => i)
  const features = listed ?? ranked(pairs, most, positions).slice(0, top)
  if (features.length === 0)
    throw invalid(
      `No feature is ${most === 'active' ? 'active on the pairs' : 'another on base and source'}`,
      'target.features',
      'Choose other prompts or positions, or list features.',
    )
  const point = pointOf(writes)
  const axes: SweepPlan['axes'] = [
    { name: 'feature', values: [...features] },
    ...(byPosition ? [{ name: 'position' as const, values: [...along] }] : []),
  ]
  const shape = axes.map(({ values }) => values.length)
  const at = (index: number): SweepSite => {
    const feature = features[byPosition ? Math.floor(index / along.length) : index]
    const at = byPosition ? [along[index % along.length]] : positions === undefined ? null : sorted(along)
    return { hook: writes, point, positions: at, heads: null, units: null, feature }
  }
  const of = (side: 'base' | 'source'): Tensor => {
    const data = new Float32Array(features.length * length)
    features.forEach((feature, i) => data.set(pairs[0][side].get(feature) ?? [], i * length))
    return { shape: [features.length, length], data }
  }
  return {
    list: { axes, shape, hooks: [writes], count: sizeOf(shape), at },
    activations: { base: of('base'), source: of('source') },
  }
}

/** Activations [pos] of those features that are active at some position with a partner. */
async function encoded(
  dictionary: FeatureDictionary,
  x: Tensor,
  partnered: readonly boolean[],
): Promise<Map<number, Float32Array>> {
  const { data } = await dictionary.encode(x)
  const active = new Map<number, Float32Array>()
  const { dSae } = dictionary
  partnered.forEach((has, position) => {
    if (!has) return
    for (let feature = 0; feature < dSae; feature++) {
      const value = data[position * dSae + feature]
      if (value === 0) continue
      const row = active.get(feature) ?? new Float32Array(partnered.length)
      row[position] = value
      active.set(feature, row)
    }
  })
  return active
}

/** Features by falling sum over positions and pairs, without those whose sum is 0. */
function ranked(
  pairs: readonly PairFeatures[],
  most: SweepFeatures['most'],
  positions: readonly number[] | undefined,
): number[] {
  const sums = new Map<number, number>()
  for (const { base, source } of pairs)
    for (const feature of new Set([...base.keys(), ...source.keys()])) {
      const [was, becomes] = [base.get(feature), source.get(feature)]
      let sum = 0
      for (const position of positions ?? (was ?? becomes)?.keys() ?? []) {
        const [b, s] = [was?.[position] ?? 0, becomes?.[position] ?? 0]
        sum += most === 'active' ? s + b : Math.abs(s - b)
      }
      sums.set(feature, (sums.get(feature) ?? 0) + sum)
    }
  return [...sums]
    .filter(([, sum]) => sum > 0)
    .sort(([a, x], [b, y]) => y - x || a - b)
    .map(([feature]) => feature)
}

const sorted = (indices: readonly number[]): number[] => [...indices].sort((a, b) => a - b)
