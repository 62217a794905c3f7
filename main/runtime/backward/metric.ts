/** From the metric of a request to the places in the model that it reads, checked against the model and the batch. */
import { PatchbayError } from '../../../preload/errors'
import type { Metric } from '../../../preload/metric'
import type { Tensor } from '../../../preload/tensor'
import type { HeadKind } from '../graph/metric'
import type { Hook } from '../runnable'
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
  | { readonly kind: 'projection'; readonly hook: MetricHook; readonly parts: readonly ProjectionPart[] }

/** A hook point that a metric reads. */
export type MetricHook = Pick<Hook, 'name' | 'dims' | 'sizes'>

/** What a metric must fit. */
export interface MetricModel {
  readonly vocab: number
  /** @throws PatchbayError `hook.unknown`, `hook.unavailable` */
  hook(name: string): MetricHook
}

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
  model: MetricModel,
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
  if (first.kind === 'projection') return planProjection(model, metrics, rows, tensors)
  const places = metrics.flatMap((metric, row) => placesOf(model, metric, row, rows, tensors))
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
  model: MetricModel,
  metric: Metric,
  row: number,
  rows: readonly (readonly number[])[],
  tensors: Readonly<Record<string, Tensor>>,
): Place[] {
  const tokens = rows[row]
  const place = (position: number, ids: readonly number[], coefficients: readonly number[]): Place => {
    ids.forEach((id) => requireToken(model, id))
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
      const target = probabilities(model.vocab, metric, row, rows.length, tensors)
      return [{ ...place(at(metric.position), [], [1]), target }]
    }
    case 'projection':
      throw new PatchbayError('internal', 'A projection reads no logits.')
  }
}

function planProjection(
  model: MetricModel,
  metrics: readonly Metric[],
  rows: readonly (readonly number[])[],
  tensors: Readonly<Record<string, Tensor>>,
): MetricPlan {
  const parts: ProjectionPart[] = []
  let hook: MetricHook | null = null
  for (const [row, metric] of metrics.entries()) {
    if (metric.kind !== 'projection') continue
    hook = model.hook(metric.hook)
    const { dims, sizes } = hook
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
        sizes,
        rows: shared ? 'all' : [row],
        positions,
        heads: null,
        units: null,
      },
      direction: tensorNamed(metric.direction, tensors),
    })
  }
  if (hook === null) throw new PatchbayError('internal', 'There is no projection to plan.')
  if (!hook.dims.some((dim) => dim === 'pos' || dim === 'q_pos'))
    throw invalid(`${hook.name} has no positions`, 'Choose another hook point.')
  return { kind: 'projection', hook, parts }
}

function requireToken({ vocab }: MetricModel, id: number): void {
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
