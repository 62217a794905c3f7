/** Clean and corrupt prompts of a sweep: run once, with what their sites are replaced by and where their metrics lie. */
import type { MetricEnds, PatchDirection } from '../../../preload/attribution'
import type { SweepMetric, SweepPair, SweepSource } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import type { AlignedPair } from '../../../preload/views'
import type { PortsByHook } from '../../runtime/interventions'
import { checkPrompts } from '../../runtime/request'
import type { Activations, PatchSite } from '../../runtime/wave/site'
import { align } from '../../../preload/align'
import { endsOf } from '../attribution/pair'
import type { PairFeatures } from './features'
import { checkMetric, metricOf, tokensOf, type LogitRow, type PlacedMetric } from './metric'
import type { PromptRun, SiteRunner } from './runner'
import { invalid, type SweepSite } from './sites'
import { alignedTo, madeUp, normal } from './source'
import type { PatchingModel } from './subject'

export interface PairContext {
  readonly model: PatchingModel
  readonly runner: SiteRunner
  readonly direction: PatchDirection
  readonly source: SweepSource
  readonly metrics: readonly SweepMetric[]
  readonly tensors: Readonly<Record<string, Tensor>>
  readonly signal?: AbortSignal
}

export interface RunPair {
  readonly base: PromptRun
  readonly source: Activations
  /** For each position of the base whether the source has something to put there. */
  readonly partnered: readonly boolean[]
  readonly metrics: readonly PlacedMetric[]
  /** Positions of the base at which metrics are read. */
  readonly reads: readonly number[]
  /** Tokens of whose logits all metrics are made; null for all. */
  readonly tokens: readonly number[] | null
  readonly ends: readonly { clean: number; corrupt: number }[]
  /** Metrics of the base as it is. */
  readonly unchanged: readonly number[]
  /** Metrics of a changed run, from its logits at `reads`. */
  readonly valuesOf: (logits: readonly LogitRow[]) => number[]
  /** Where features are patched. */
  readonly features?: PairFeatures
}

/**
 * Checks pairs before anything is run.
 * @returns tokens of the base of each
 * @throws PatchbayError `input.invalid`, `prompt.too-long`
 */
export function checkPairs(
  model: PatchingModel,
  pairs: readonly SweepPair[],
  metrics: readonly SweepMetric[],
  direction: PatchDirection,
): (readonly number[])[] {
  return pairs.map((pair, i) => {
    const field = `pairs.${i}`
    checkPrompts(model.runnable, [pair.clean, pair.corrupt])
    if (pair.clean.length !== pair.corrupt.length && pair.alignment === undefined)
      throw invalid(
        `The prompts of pair ${i} have ${pair.clean.length} and ${pair.corrupt.length} tokens, and no alignment says which positions belong together`,
        `${field}.alignment`,
        'Give an alignment (or "auto"), or use prompts of one length.',
      )
    for (const position of pair.noise?.positions ?? [])
      if (position >= pair.corrupt.length)
        throw invalid(
          `Position ${position} is behind the end of the corrupt prompt, which has ${pair.corrupt.length} tokens`,
          `${field}.noise.positions`,
          'Positions count from 0.',
        )
    if (pair.metrics !== undefined && pair.metrics.length !== metrics.length)
      throw invalid(
        `Pair ${i} has ${pair.metrics.length} metrics, the sweep ${metrics.length}`,
        `${field}.metrics`,
      )
    for (const [m, metric] of (pair.metrics ?? metrics).entries()) {
      checkMetric(model, metric, pair.metrics === undefined ? `metrics.${m}` : `${field}.metrics.${m}`)
      placed(metric, pair)
    }
    return direction === 'noising' ? pair.clean : pair.corrupt
  })
}

/** Runs both prompts of a pair, and whatever else the source needs. */
export async function runPair(
  context: PairContext,
  pair: SweepPair,
  index: number,
  hooks: readonly string[],
): Promise<RunPair> {
  const { model, runner, direction, source: kind, tensors, signal } = context
  const metrics = (pair.metrics ?? context.metrics).map((metric) => placed(metric, pair))
  const side = direction === 'noising' ? 'clean' : 'corrupt'
  const other = side === 'clean' ? 'corrupt' : 'clean'
  const baseReads = distinct(metrics.map(({ position }) => position[side]))
  const otherReads = distinct(metrics.map(({ position }) => position[other]))
  const ports = noisePorts(model, pair)
  const portsOf = (which: 'clean' | 'corrupt'): { ports?: PortsByHook } =>
    which === 'corrupt' ? { ports } : {}
  const wanted = kind.kind === 'prompt' ? hooks : []
  const [base, partner] = await runner.prompts([
    { tokens: pair[side], hooks, reads: baseReads, signal, ...portsOf(side) },
    { tokens: pair[other], hooks: wanted, reads: otherReads, signal, ...portsOf(other) },
  ])

  const partners = partnersOf(pair, side)
  const capture = async (tokens: readonly number[]): Promise<Activations> =>
    (await runner.prompts([{ tokens, hooks, reads: [tokens.length - 1], signal }]))[0].activations
  const source =
    kind.kind === 'prompt'
      ? alignedTo(partner.activations, partners, hooks)
      : await madeUp(kind, {
          base: base.activations,
          baseLength: base.tokens.length,
          hooks,
          tensors,
          capture,
          draw: index,
        })

  const rowIn = (run: PromptRun, reads: readonly number[], position: number): LogitRow =>
    run.logits[reads.indexOf(position)]
  const endLogits = (which: 'clean' | 'corrupt', { position }: PlacedMetric): LogitRow =>
    which === side ? rowIn(base, baseReads, position[which]) : rowIn(partner, otherReads, position[which])
  const targets = metrics.map((one) =>
    one.metric.kind === 'kl' ? endLogits(one.metric.target, one).logits : null,
  )
  const end = (which: 'clean' | 'corrupt', i: number): number =>
    metricOf(metrics[i].metric, endLogits(which, metrics[i]), targets[i])
  const valuesOf = (logits: readonly LogitRow[]): number[] =>
    metrics.map(({ metric, position }, i) =>
      metricOf(metric, logits[baseReads.indexOf(position[side])], targets[i]),
    )
  const tokens = metrics.map(({ metric }) => tokensOf(metric))
  return {
    base,
    source,
    partnered: kind.kind === 'prompt' ? partners.map((at) => at !== null) : base.tokens.map(() => true),
    metrics,
    reads: baseReads,
    tokens: tokens.some((list) => list === null) ? null : tokens.flatMap((list) => list ?? []),
    ends: metrics.map((_, i) => ({ clean: end('clean', i), corrupt: end('corrupt', i) })),
    unchanged: metrics.map((_, i) => end(side, i)),
    valuesOf,
  }
}

/** A site on a pair: null where none of its positions has something to be replaced by. */
export function onPair(site: SweepSite, pair: RunPair): PatchSite | null {
  const { point, positions, heads, units, feature } = site
  const wanted = positions ?? pair.partnered.map((_, position) => position)
  const had = wanted.filter((position) => pair.partnered[position])
  if (had.length === 0) return null
  const whole = { point, positions: had, heads, units }
  if (feature === undefined) return whole
  return { ...whole, own: (position) => pair.features?.replaced(feature, position) ?? null }
}

/** Means over pairs, and whether they can be normalised. */
export const meanEnds = (pairs: readonly RunPair[]): MetricEnds[] =>
  pairs[0].ends.map((_, i) => {
    const mean = (which: 'clean' | 'corrupt'): number =>
      pairs.reduce((sum, { ends }) => sum + ends[i][which], 0) / pairs.length
    return endsOf(mean('clean'), mean('corrupt'))
  })

const alignmentOf = ({ clean, corrupt, alignment }: SweepPair): AlignedPair[] | null => {
  if (alignment === undefined) return null
  if (alignment === 'auto') return clean.length === corrupt.length ? null : align(clean, corrupt)
  const outside = alignment.find(
    ({ left, right }) =>
      (left ?? 0) >= clean.length || (right ?? 0) >= corrupt.length || (left ?? 0) < 0 || (right ?? 0) < 0,
  )
  if (outside === undefined) return alignment
  throw invalid(
    `The alignment pairs ${outside.left} with ${outside.right}, but the prompts have ${clean.length} and ${corrupt.length} tokens`,
    'pairs.alignment',
    'Positions count from 0; left is clean, right is corrupt.',
  )
}

/** For each position of one prompt its partner in the other. */
function partnersOf(pair: SweepPair, side: 'clean' | 'corrupt'): (number | null)[] {
  const alignment = alignmentOf(pair)
  if (alignment === null) return pair[side].map((_, position) => position)
  const partners = pair[side].map((): number | null => null)
  for (const { left, right } of alignment) {
    const [at, partner] = side === 'clean' ? [left, right] : [right, left]
    if (at !== null) partners[at] = partner
  }
  return partners
}

/** A position given as a number is one of the clean prompt, and its partner in the corrupt one. */
function placed(metric: SweepMetric, pair: SweepPair): PlacedMetric {
  const { position } = metric
  if (position === 'last')
    return { metric, position: { clean: pair.clean.length - 1, corrupt: pair.corrupt.length - 1 } }
  if (position >= pair.clean.length)
    throw invalid(
      `The metric is read at position ${position}, but the clean prompt has ${pair.clean.length} tokens`,
      'metrics.position',
      'Positions count from 0.',
    )
  const partner = partnersOf(pair, 'clean')[position]
  if (partner === null)
    throw invalid(
      `Position ${position} of the clean prompt, where the metric is read, has no partner in the corrupt one`,
      'metrics.position',
      'Choose the last position, or one that both prompts have.',
    )
  return { metric, position: { clean: position, corrupt: partner } }
}

/** Noise on the embeddings of the corrupt prompt. */
function noisePorts(model: PatchingModel, { corrupt, noise }: SweepPair): PortsByHook | undefined {
  if (noise === undefined) return undefined
  const { name } = model.runnable.hook('hook_embed')
  const width = model.facts.dModel
  const value = new Float32Array(corrupt.length * width)
  const random = normal(noise.seed)
  for (const position of [...noise.positions].sort((a, b) => a - b))
    for (let i = 0; i < width; i++) value[position * width + i] = noise.std * random()
  return new Map([
    [
      name,
      [
        {
          kind: 'affine',
          keep: { shape: [1, 1, 1], data: Float32Array.of(1) },
          value: { shape: [1, corrupt.length, width], data: value },
        } as const,
      ],
    ],
  ])
}

const distinct = (positions: readonly number[]): number[] => [...new Set(positions)]
