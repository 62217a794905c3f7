/** Computes a metric of logits and its gradients at the final residual stream, a bounded number of positions at a time. */
import type { OuterSite } from '../../../preload/hooks'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { TransformerSpec } from '../../models/spec'
import { throwIfCancelled } from '../cancelled'
import type { CompiledGraphs } from '../compiled'
import { cotangentAt, gradientAt, gradientOf } from '../graph/gradient'
import { valueOutputs, type HeadKind } from '../graph/metric'
import type { Layout } from '../layout'
import { kindsOf, rowOffsets, withPorts, type PortValue } from '../ports'
import { floatData, floats, int64s, type Feeds } from '../session'
import { runLeased } from '../session-pool'
import type { Place } from './metric'
import type { WeightGradients } from './weights'

/** Bound on what one run of the session holds of logits and their like, in bytes. */
const BUDGET = 128 * 2 ** 20
/** Arrays as large as the logits that are alive at once. */
const COPIES = 6

export interface HeadRequest {
  readonly kind: HeadKind
  readonly places: readonly Place[]
  /** The final residual stream [batch, pos, d_model]. */
  readonly resid: Tensor
  readonly layout: Layout
  readonly ports: ReadonlyMap<OuterSite, readonly PortValue[]>
  /** Hook points of the final norm whose gradients are wanted. */
  readonly sites: readonly OuterSite[]
  /** What a metric that reads a hook point of the final norm begins with, [batch, pos, …]. */
  readonly cotangent: { readonly site: OuterSite; readonly tensor: Tensor } | null
  readonly weights: WeightGradients
  readonly signal?: AbortSignal
}

export interface HeadResult {
  /** [batch] */
  readonly metric: Float32Array
  /** At the final residual stream, [batch, pos, d_model]. */
  readonly resid: Tensor
  readonly sites: ReadonlyMap<OuterSite, Tensor>
}

export async function headBackward(
  spec: TransformerSpec,
  graphs: CompiledGraphs,
  request: HeadRequest,
): Promise<HeadResult> {
  const { kind, places, resid, layout, ports, sites, cotangent, weights, signal } = request
  const { batch, queries } = layout
  const wanted = weights.of(spec.unembedding)
  const variant = {
    kind,
    ports: kindsOf(ports),
    gradients: new Set(sites),
    cotangents: new Set(cotangent === null ? [] : [cotangent.site]),
    weights: wanted,
  }
  const outputs = [
    ...valueOutputs[kind],
    gradientAt('resid'),
    ...sites.map(gradientAt),
    ...[...wanted].map(gradientOf),
  ]
  const metric = new Float32Array(batch)
  const whole = (width: number): Tensor => ({
    shape: [batch, queries, width],
    data: new Float32Array(batch * queries * width),
  })
  const residGradient = whole(spec.dModel)
  const siteGradients = new Map<OuterSite, Tensor>()
  for (const some of chunks(spec, kind, places)) {
    throwIfCancelled(signal)
    const columns = some.map(({ row, position }) => row * queries + position)
    const feeds: Feeds = { ...feedsOf(spec, kind, some), resid: at(resid, columns) }
    if (cotangent !== null) feeds[cotangentAt(cotangent.site)] = at(cotangent.tensor, columns)
    const chosen = new Map(
      [...ports].map(([site, list]) => [site, list.map((port) => portAt(port, resid, columns))]),
    )
    const out = await runLeased(await graphs.backward.head(variant), withPorts(feeds, chosen), outputs)
    valuesOf(kind, some, (name) => floatData(out[name])).forEach((value, i) => (metric[some[i].row] += value))
    scatter(floatData(out[gradientAt('resid')]), residGradient, columns)
    for (const site of sites) {
      const part = floatData(out[gradientAt(site)])
      const sum = siteGradients.get(site) ?? whole(part.length / some.length)
      siteGradients.set(site, sum)
      scatter(part, sum, columns)
    }
    for (const name of wanted) weights.add(name, floatData(out[gradientOf(name)]))
  }
  return { metric, resid: residGradient, sites: siteGradients }
}

function chunks(spec: TransformerSpec, kind: HeadKind, places: readonly Place[]): Place[][] {
  const longest = places.reduce((most, { tokens }) => Math.max(most, tokens.length), 1)
  const each = kind === 'chosen' || kind === 'none' ? 2 * longest * spec.dModel : COPIES * spec.vocab
  const count = Math.max(1, Math.floor(BUDGET / (4 * each)))
  return Array.from({ length: Math.ceil(places.length / count) }, (_, i) =>
    places.slice(i * count, (i + 1) * count),
  )
}

/** What the graph of a kind is fed beside residual stream and ports. */
function feedsOf({ vocab }: TransformerSpec, kind: HeadKind, places: readonly Place[]): Feeds {
  const rows = places.length
  if (kind === 'none') return {}
  if (kind === 'chosen' || kind === 'likelihood') {
    const count = Math.max(...places.map(({ tokens }) => tokens.length))
    const padded = (list: readonly number[]): number[] => [
      ...list,
      ...Array<number>(count - list.length).fill(0),
    ]
    return {
      tokens: int64s(
        places.flatMap(({ tokens }) => padded(tokens)),
        [rows, count],
      ),
      coefficients: floats(Float32Array.from(places.flatMap(({ coefficients }) => padded(coefficients))), [
        rows,
        count,
      ]),
    }
  }
  const target = new Float32Array(rows * vocab)
  places.forEach((place, i) => {
    const probabilities = place.target ?? new Float32Array(vocab)
    target.set(kind === 'target-model' ? probabilities : probabilities.map(Math.log), i * vocab)
  })
  const weights = Float32Array.from(places, ({ coefficients }) => coefficients[0])
  return { target: floats(target, [rows, vocab]), weight: floats(weights, [rows, 1]) }
}

/** Each place's part of its row's metric, from what the graph gave out. */
function valuesOf(kind: HeadKind, places: readonly Place[], out: (name: string) => Float32Array): number[] {
  switch (kind) {
    case 'none':
      return places.map(() => 0)
    case 'chosen': {
      const logits = out('logits')
      const count = logits.length / places.length
      return places.map(({ coefficients }, i) =>
        coefficients.reduce((sum, coefficient, t) => sum + coefficient * logits[i * count + t], 0),
      )
    }
    case 'likelihood': {
      const [logits, max, peak] = ['logits', 'max', 'peak'].map(out)
      return places.map(({ coefficients: [weight] }, i) => weight * (logits[i] - max[i] + Math.log(peak[i])))
    }
    case 'target-model': {
      const [weighted, peak] = ['weighted', 'peak'].map(out)
      return places.map(({ target, coefficients: [weight] }, i) => {
        let own = 0
        for (const p of target ?? []) if (p > 0) own += p * Math.log(p)
        return weight * (own - weighted[i] - Math.log(peak[i]))
      })
    }
    case 'model-target': {
      const [weighted, peak] = ['weighted', 'peak'].map(out)
      return places.map(({ coefficients: [weight] }, i) => weight * (weighted[i] + Math.log(peak[i])))
    }
  }
}

/** Columns of x [batch, pos, width] as [n, 1, width]. */
function at(x: Tensor, columns: readonly number[]) {
  const width = x.shape[x.shape.length - 1]
  const data = new Float32Array(columns.length * width)
  columns.forEach((column, i) => data.set(x.data.subarray(column * width, (column + 1) * width), i * width))
  return floats(data, [columns.length, 1, width])
}

/** The same of what a port is fed, which broadcasts to [batch, pos, width]. */
function portAt(port: PortValue, { shape }: Tensor, columns: readonly number[]): PortValue {
  const pick = (tensor: Tensor): Tensor => {
    const width = tensor.shape[tensor.shape.length - 1]
    const offsets = rowOffsets(tensor.shape, shape)
    const data = new Float32Array(columns.length * width)
    columns.forEach((column, i) =>
      data.set(tensor.data.subarray(offsets[column], offsets[column] + width), i * width),
    )
    return { shape: [columns.length, 1, width], data }
  }
  if (port.kind === 'affine') return { kind: 'affine', keep: pick(port.keep), value: pick(port.value) }
  const { direction, amount, target } = port
  return { kind: 'direction', direction: pick(direction), amount: pick(amount), target: pick(target) }
}

/** Adds rows to the columns of a sum [batch, pos, width]; a column may be read several times. */
function scatter(rows: Float32Array, sum: Tensor, columns: readonly number[]): void {
  const width = sizeOf(sum.shape) / (sum.shape[0] * sum.shape[1])
  columns.forEach((column, i) => {
    for (let j = 0; j < width; j++) sum.data[column * width + j] += rows[i * width + j]
  })
}
