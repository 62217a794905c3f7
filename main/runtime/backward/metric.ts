/** From the metric of a request to the places in the model that it reads, checked against the model and the batch. */
import { PatchbayError } from '../../../preload/errors'
import { hookDims, hookName, type HookPoint } from '../../../preload/hooks'
import type { Metric } from '../../../preload/metric'
import type { Tensor } from '../../../preload/tensor'
import { hookSizes, resolveHook } from '../../models/hook-points'
import type { TransformerSpec } from '../../models/spec'
import type { HeadKind } from '../graph/metric'
import type { Selection } from '../selection'
import { invalid, tensorNamed } from './faults'
import { probabilities } from './target'

/** One position whose logits count. Its part of the row's metric is said in graph/metric.ts. */
export interface Place {
  readonly row: number
  readonly position: number
  /** Chosen tokens with their coefficients; for likelihoods one token with its weight; none for distributions. */
  readonly tokens: readonly number[]
  readonly coefficients: readonly number[]
  /** Probabilities [d_vocab]; null where the metric compares with none. */
  readonly target: Float32Array | null
}

export type MetricPlan =
  | { readonly kind: Exclude<HeadKind, 'none'>; readonly places: readonly Place[] }
  | { readonly kind: 'projection'; readonly point: HookPoint; readonly parts: readonly ProjectionPart[] }

/** Some rows' selection at a hook point, and what it is multiplied with. */
export interface ProjectionPart {
  readonly selection: Selection
  readonly direction: Tensor
}

/**
 * @param metrics one a row
 * @param rows token ids
 * @throws PatchbayError `input.invalid` naming the field, `hook.unknown`, `hook.unavailable`
 */
export function planMetric(
  spec: TransformerSpec,
  metrics: readonly Metric[],
  rows: readonly (readonly number[])[],
  tensors: Readonly<Record<string, Tensor>>,
): MetricPlan {
  if (metrics.length !== rows.length)
    throw invalid(
      `There are ${metrics.length} metrics for ${rows.length} rows`,
      'Give one, or one for each row.',
    )
  if (new Set(metrics.map(sortOf)).size > 1)
    throw invalid('The rows have metrics of different kinds', 'Run each kind on its own.')
  const [first] = metrics
  if (first.kind === 'projection') return planProjection(spec, metrics, rows, tensors)
  const places = metrics.flatMap((metric, row) => placesOf(spec, metric, row, rows, tensors))
  return { kind: headOf(first), places }
}

/** Metrics that one pass can compute together. */
const sortOf = (metric: Metric): string =>
  metric.kind === 'kl'
    ? `kl ${metric.direction}`
    : metric.kind === 'projection'
      ? `projection at ${metric.hook}`
      : metric.kind

function headOf(metric: Exclude<Metric, { kind: 'projection' }>): Exclude<HeadKind, 'none'> {
  if (metric.kind === 'logit-difference') return 'chosen'
  return metric.kind === 'kl' ? metric.direction : 'likelihood'
}

function placesOf(
  spec: TransformerSpec,
  metric: Metric,
  row: number,
  rows: readonly (readonly number[])[],
  tensors: Readonly<Record<string, Tensor>>,
): Place[] {
  const tokens = rows[row]
  const place = (position: number, ids: readonly number[], coefficients: readonly number[]): Place => {
    ids.forEach((id) => requireToken(spec, id))
    return { row, position, tokens: ids, coefficients, target: null }
  }
  const at = (position: 'last' | number): number => (position === 'last' ? tokens.length - 1 : position)
  /** Each token from `from` on, read behind the one before it. */
  const following = (from: number, weight: number): Place[] =>
    tokens.slice(from).map((token, i) => place(from + i - 1, [token], [weight]))
  switch (metric.kind) {
    case 'logit-difference': {
      requirePosition(metric.position, row, tokens.length)
      const { positive, negative } = metric
      const coefficients = [
        ...positive.map(() => 1 / positive.length),
        ...negative.map(() => -1 / negative.length),
      ]
      return [place(at(metric.position), [...positive, ...negative], coefficients)]
    }
    case 'log-probability':
      requirePosition(metric.position, row, tokens.length)
      return [place(at(metric.position), [metric.token], [1])]
    case 'continuation':
      requirePosition(metric.from, row, tokens.length)
      return following(metric.from, 1)
    case 'cross-entropy':
      requirePosition(metric.from, row, tokens.length)
      return following(metric.from, -1 / (tokens.length - metric.from))
    case 'kl': {
      requirePosition(metric.position, row, tokens.length)
      const target = probabilities(spec.vocab, metric, row, rows.length, tensors)
      return [{ ...place(at(metric.position), [], [1]), target }]
    }
    case 'projection':
      throw new PatchbayError('internal', 'A projection reads no logits.')
  }
}

function planProjection(
  spec: TransformerSpec,
  metrics: readonly Metric[],
  rows: readonly (readonly number[])[],
  tensors: Readonly<Record<string, Tensor>>,
): MetricPlan {
  const parts: ProjectionPart[] = []
  let point: HookPoint | null = null
  for (const [row, metric] of metrics.entries()) {
    if (metric.kind !== 'projection') continue
    point = resolveHook(spec, metric.hook)
    const dims = hookDims(point)
    const { positions } = metric
    if (Array.isArray(positions)) {
      positions.forEach((position) => requirePosition(position, row, rows[row].length))
      if (new Set(positions).size < positions.length)
        throw invalid('A position is listed twice', 'List each position once.')
    }
    const shared = metrics.every((other) => other === metrics[0])
    if (shared && row > 0) continue
    parts.push({
      selection: {
        dims,
        sizes: hookSizes(spec, point),
        rows: shared ? 'all' : [row],
        positions,
        heads: null,
        units: null,
      },
      direction: tensorNamed(metric.direction, tensors),
    })
  }
  if (point === null) throw new PatchbayError('internal', 'There is no projection to plan.')
  if (!hookDims(point).some((dim) => dim === 'pos' || dim === 'q_pos'))
    throw invalid(`${hookName(point)} has no positions`, 'Choose another hook point.')
  return { kind: 'projection', point, parts }
}

function requireToken({ vocab }: TransformerSpec, id: number): void {
  if (id >= vocab)
    throw invalid(
      `Token id ${id} of the metric is not in the vocabulary of ${vocab}`,
      'Encode the token with this model’s tokenizer.',
    )
}

function requirePosition(position: 'last' | number, row: number, length: number): void {
  if (position !== 'last' && position >= length)
    throw invalid(
      `The metric’s position ${position} is behind the end of row ${row}, which has ${length} tokens`,
      'Positions count from 0.',
    )
}
