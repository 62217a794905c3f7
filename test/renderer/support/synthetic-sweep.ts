/** Answers of a sweep: layers × positions or heads, finished in two batches, its values told apart by their site. */
import type { CallArguments, CallOutput } from '../../../preload/api'
import type { SweepPlan } from '../../../preload/sweep'
import type { ModelDescription } from '../../../preload/model'
import type { Answers, Context } from './synthetic-engine'
import { evidenceOf } from './synthetic-views'

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/** The metric with a site patched: between corrupt (−1) and clean (3). */
export const patchedMetric = (site: number): number => -1 + (site % 5)

/** [row, head, q_pos, k_pos]: row 0 reads half of its attention from the first position, the others evenly. */
function patterns(rows: number, heads: number, n: number): { shape: number[]; data: Float32Array } {
  const data = new Float32Array(rows * heads * n * n)
  for (let row = 0; row < rows * heads; row++)
    for (let q = 0; q < n; q++)
      for (let k = 0; k <= q; k++) {
        const patched = q === 0 ? 1 : k === 0 ? 0.5 : 0.5 / q
        data[(row * n + q) * n + k] = row < heads ? patched : 1 / (q + 1)
      }
  return { shape: [rows, heads, n, n], data }
}

export function sweepAnswers(model: ModelDescription): Answers {
  return {
    'sweep.run': (input, context) => swept(model, input, context),
    'sweep.paths': (input, context) => swept(model, input, context),
    'sweep.scrub': ({ pairs, direction, keep, draws, metrics }) => ({
      evidence: evidenceOf(model, pairs[0].clean),
      direction,
      ends: metrics.map(() => ({ clean: 3, corrupt: -1, problem: null })),
      circuits: keep.map((places) => {
        // More kept, nearer to clean; draws lie evenly about the mean.
        const mean = -1 + (4 * places.length) / (places.length + 1)
        const values = range(draws).map((draw) => mean + (draw - (draws - 1) / 2) / 8)
        return {
          kept: places.length,
          replaced: model.layers * (model.heads + 1) - places.length,
          values: { shape: [1, draws], data: Float32Array.from(values) },
          mean: [mean],
          normalised: [(mean + 1) / 4],
        }
      }),
    }),
    'sweep.site': ({ pairs, direction }) => ({
      request: {
        ...evidenceOf(model, direction === 'noising' ? pairs[0].clean : pairs[0].corrupt).request,
        interventions: [
          {
            hook: 'blocks.1.hook_resid_pre',
            rows: 'all',
            positions: [2],
            operation: { kind: 'replace', value: 'source' },
          },
        ],
      },
      base: 0,
      tensors: { source: { shape: [1, model.dModel], data: new Float32Array(model.dModel).fill(1) } },
    }),
    'run.execute': ({ request }) => {
      const data = new Float32Array(model.vocab)
      data[7] = 20
      const { length } = request.rows[0]
      return {
        provenance: evidenceOf(model, request.rows[0]).provenance,
        lengths: [request.rows[0].length],
        captures: Object.fromEntries(
          request.captures.map((hook) => [hook, patterns(request.rows.length, model.heads, length)]),
        ),
        logits: { shape: [1, 1, model.vocab], data },
        residual: null,
        metric: null,
        gradients: {},
        weightGradients: {},
      }
    },
    'generate.execute': ({ request }) => ({
      provenance: evidenceOf(model, request.rows[0].tokens).provenance,
      rows: request.rows.map((_, row) => ({
        tokens: range(request.maxTokens).map((step) => (step === 1 ? 5 + row : 4)),
        text: '',
        finish: 'length' as const,
      })),
    }),
  }
}

function swept(
  model: ModelDescription,
  { pairs, direction, target, metrics, known }: CallArguments<'sweep.run'>,
  { progress, signal }: Pick<Context<'sweep.run'>, 'progress' | 'signal'>,
): CallOutput<'sweep.run'> {
  const [pair] = pairs
  const positions = (direction === 'noising' ? pair.clean : pair.corrupt).length
  const sizes = { position: positions, head: model.heads, unit: model.dModel }
  const axes: SweepPlan['axes'] =
    target.kind === 'grid'
      ? [
          { name: 'layer', values: target.layers ?? range(model.layers) },
          ...target.by.map((name) => ({ name, values: range(sizes[name]) })),
        ]
      : target.kind === 'sites'
        ? [{ name: 'site', values: range(target.sites.length) }]
        : [
            { name: 'feature', values: range(target.top) },
            { name: 'position', values: range(positions) },
          ]
  const shape = axes.map(({ values }) => values.length)
  const plan: SweepPlan = {
    axes,
    shape,
    ends: metrics.map(() => ({ clean: 3, corrupt: -1, problem: null })),
    hooks: axes[0].values.map((layer) => `blocks.${layer}.hook_resid_pre`),
  }
  const total = shape.reduce((a, b) => a * b, 1)
  const had = new Set(known?.sites ?? [])
  const missing = range(total).filter((site) => !had.has(site))
  const half = Math.ceil(missing.length / 2)
  let done = had.size
  progress({ kind: 'plan', plan, done, total })
  for (const batch of [missing.slice(0, half), missing.slice(half)]) {
    if (signal.aborted) break
    done += batch.length
    progress({
      kind: 'values',
      sites: Int32Array.from(batch),
      raw: {
        shape: [batch.length, metrics.length],
        data: Float32Array.from(batch.flatMap((site) => metrics.map(() => patchedMetric(site)))),
      },
      done,
      total,
    })
  }
  const one = Float32Array.from(range(total), patchedMetric)
  const raw = {
    shape: [metrics.length, ...shape],
    data: Float32Array.from(metrics.flatMap(() => Array.from(one))),
  }
  return {
    evidence: evidenceOf(model, pair.clean),
    source: evidenceOf(model, pair.corrupt),
    direction,
    plan,
    raw,
    normalised: metrics.map(() => ({ shape, data: one.map((value) => (value + 1) / 4) })),
    computed: total - 1,
    unchanged: 1,
    seconds: 0.25,
    way: 'wave',
    notes: [],
  }
}
