/** Answers of the synthetic engine: whatever the contract promises, with numbers that look like a model's. */
import { hookDims, parseHook, residualPoints, type Dim } from '../../../preload/hooks'
import type { ModelDescription, WeightStatistics } from '../../../preload/model'
import { runRequest } from '../../../preload/run'
import type {
  ActivationView,
  AlignedPair,
  AttentionComparison,
  Comparison,
  Evidence,
  LensMap,
  Mover,
} from '../../../preload/views'
import { gauss, noise, syntheticToken } from './synthetic-model'

const float = (shape: number[], at: (...index: number[]) => number) => {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1))
  data.forEach((_, i) => {
    const index: number[] = []
    for (let axis = shape.length - 1, rest = i; axis >= 0; rest = Math.floor(rest / shape[axis]), axis--)
      index.unshift(rest % shape[axis])
    data[i] = at(...index)
  })
  return { shape, data }
}

export const evidenceOf = (model: ModelDescription, tokens: number[], captures: string[] = []): Evidence => ({
  request: runRequest.parse({ model: model.fingerprint, rows: [tokens], captures, logits: 'none' }),
  provenance: {
    fingerprint: model.fingerprint,
    modelName: model.name,
    precision: 'float32',
    provider: 'cpu',
    requestHash: '12'.repeat(32),
    patchbay: '0.1.0',
  },
})

export function activation(
  model: ModelDescription,
  tokens: number[],
  hook: string,
  maxColumns: number,
): ActivationView {
  const point = parseHook(hook)
  if (point === null) throw new Error(`no hook ${hook}`)
  const dims = hookDims(point).slice(1)
  const sizes: Partial<Record<Dim, number>> = {
    pos: tokens.length,
    q_pos: tokens.length,
    k_pos: tokens.length,
    d_model: model.dModel,
    head: model.heads,
    kv_head: model.kvHeads,
    d_head: model.dHead,
    d_mlp: model.dMlp,
  }
  const shape = dims.map((dim) => sizes[dim] ?? 1)
  const rowAxes = dims[0] === 'pos' ? 1 : dims.length - 1
  const rows = shape.slice(0, rowAxes).reduce((a, b) => a * b, 1)
  const columns = shape.slice(rowAxes).reduce((a, b) => a * b, 1)
  const perCell = Math.max(1, Math.ceil(columns / maxColumns))
  const layer = point.layer ?? 0
  const value = (r: number, c: number): number => {
    if (dims.at(-1) === 'k_pos') {
      const q = r % tokens.length
      if (c > q) return point.site === 'attn.hook_pattern' ? 0 : -Infinity
      return point.site === 'attn.hook_pattern' ? 1 / (q + 1) : gauss(layer, r, c)
    }
    return gauss(layer, r, c) * (1 + layer / 2) + (c % 31 === 7 ? 4 : 0)
  }
  const heatmap = float([rows, Math.ceil(columns / perCell)], (r, c) => value(r, c * perCell))
  const finite = heatmap.data.filter((x) => Number.isFinite(x))
  const [minimum, maximum] = [Math.min(...finite), Math.max(...finite)]
  const counts = new Int32Array(40)
  for (const x of finite) counts[Math.min(39, Math.floor((40 * (x - minimum)) / (maximum - minimum || 1)))]++
  const mean = finite.reduce((a, b) => a + b, 0) / finite.length
  return {
    evidence: evidenceOf(model, tokens, [hook]),
    hook,
    dims: [...dims],
    shape,
    rows,
    columns,
    heatmap,
    columnsPerCell: perCell,
    norms: Float32Array.from({ length: rows }, (_, r) =>
      Math.hypot(...Array.from({ length: 8 }, (_, c) => value(r, c)).filter(Number.isFinite)),
    ),
    histogram: {
      edges: Float32Array.from({ length: 41 }, (_, i) => minimum + (i / 40) * (maximum - minimum)),
      counts,
    },
    statistics: {
      mean,
      standardDeviation: Math.sqrt(finite.reduce((a, b) => a + (b - mean) ** 2, 0) / finite.length),
      minimum,
      maximum,
      notFinite: heatmap.data.length - finite.length,
    },
  }
}

export function weights(model: ModelDescription, name: string): WeightStatistics {
  const parameter = model.parameters.find((p) => p.name === name)
  if (parameter === undefined) throw new Error(`no parameter ${name}`)
  return {
    name,
    shape: parameter.shape,
    count: parameter.bytes / 4,
    mean: 0.000_21,
    standardDeviation: 0.0213,
    minimum: -0.11,
    maximum: 0.124,
    frobeniusNorm: 2.72,
    zeros: 0,
    notFinite: 0,
    histogram: {
      edges: Float32Array.from({ length: 61 }, (_, i) => -0.12 + i * 0.004),
      counts: Int32Array.from({ length: 60 }, (_, i) => Math.round(3000 * Math.exp(-(((i - 30) / 7) ** 2)))),
    },
  }
}

export function lens(model: ModelDescription, tokens: number[]): LensMap {
  const points = residualPoints(model.layers)
  const shape = [points.length, tokens.length]
  const probability = (point: number, pos: number) =>
    Math.min(0.99, 0.03 + noise(point, pos, tokens[pos]) * (point / model.layers) ** 2)
  const ids = float(shape, (point, pos) => 4 + Math.floor(noise(point, pos, tokens[pos], 7) * 40))
  return {
    evidence: evidenceOf(model, tokens, points),
    points,
    topIds: { shape, data: Int32Array.from(ids.data) },
    topProbabilities: float(shape, probability),
    entropies: float(shape, (point, pos) => 5 * (1 - probability(point, pos))),
    finalRanks: { shape, data: Int32Array.from(ids.data, (_, i) => Math.max(0, 40 - i)) },
    finalProbabilities: float(shape, (point, pos) => probability(point, pos) * 0.8),
    tokens: Object.fromEntries(Array.from(ids.data, (id) => [String(id), syntheticToken(id)])),
  }
}

/** Aligned by equal beginnings and ends only; what is between is paired in order. */
export function alignment(left: number[], right: number[]): AlignedPair[] {
  const pairs: AlignedPair[] = []
  const shorter = Math.min(left.length, right.length)
  let end = 0
  while (end < shorter - 1 && left[left.length - 1 - end] === right[right.length - 1 - end]) end++
  const [l, r] = [left.length - end, right.length - end]
  for (let i = 0; i < Math.max(l, r); i++)
    pairs.push({
      left: i < l ? i : null,
      right: i < r ? i : null,
      same: i < l && i < r && left[i] === right[i],
    })
  for (let i = 0; i < end; i++) pairs.push({ left: l + i, right: r + i, same: true })
  return pairs
}

export function compare(model: ModelDescription, left: number[], right: number[]): Comparison {
  const pairs = alignment(left, right)
  const points = model.layers + 1
  const norms = (tokens: number[]) =>
    float([points, tokens.length], (p, i) => 3 + 4 * p + noise(p, i, tokens[i]))
  const paired = (at: (p: number, i: number) => number) =>
    float([points, pairs.length], (p, i) =>
      pairs[i].left === null || pairs[i].right === null ? NaN : at(p, i),
    )
  const firstDifference = pairs.findIndex((pair) => !pair.same)
  const changed = (i: number) => firstDifference >= 0 && i >= firstDifference
  return {
    left: lens(model, left),
    right: lens(model, right),
    alignment: pairs,
    leftNorms: norms(left),
    rightNorms: norms(right),
    cosines: paired((p, i) => (changed(i) ? 1 - 0.7 * noise(p, i) * (pairs[i].same ? 0.5 : 1) : 1)),
    divergences: paired((p, i) => (changed(i) ? 2 * noise(p, i, 3) * (p / points) : 0)),
    movers: Array.from({ length: 12 }, (_, i): Mover => {
      const [a, b] = [noise(i, 1) / (i + 2), noise(i, 2) / (i + 2)]
      return {
        ...syntheticToken(i + 2),
        leftProbability: a,
        rightProbability: b,
        leftLogit: Math.log(a) + 9,
        rightLogit: Math.log(b) + 9,
      }
    }),
  }
}

export function compareAttention(
  model: ModelDescription,
  left: number[],
  right: number[],
  layer: number,
): AttentionComparison {
  const pairs = alignment(left, right)
  const pattern = (side: number) => (head: number, q: number, k: number) =>
    k > q ? 0 : (1 + 0.5 * gauss(head, q, k, side, layer)) / (q + 1)
  return {
    layer,
    left: float([model.heads, left.length, left.length], pattern(0)),
    right: float([model.heads, right.length, right.length], pattern(1)),
    difference: float([model.heads, pairs.length, pairs.length], (head, q, k) => {
      const [a, b] = [pairs[q], pairs[k]]
      if (a.left === null || a.right === null || b.left === null || b.right === null) return NaN
      return pattern(1)(head, a.right, b.right) - pattern(0)(head, a.left, b.left)
    }),
  }
}
