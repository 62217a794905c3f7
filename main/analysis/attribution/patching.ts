/**
 * Attribution patching (Nanda 2023, "Attribution Patching: Activation Patching at Industrial Scale"): the effect of putting
 * the source's activation in, to first order, for all places at once: Σ (source − base) · ∂metric/∂activation at the base.
 */
import type { AttributionPatching, MetricEnds, NeuronEffect, PatchSite } from '../../../preload/attribution'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { captureInput, hookOf, requireBlocks } from '../captures'
import { evidenceOf } from '../evidence'
import type { AnalysisModel, RunOptions } from '../subject'
import { gradientsOf } from './gradients'
import { effectMap, endsOf, metricOfPrompt, normalised, pairOf, type PairRequest } from './pair'

export interface PatchingRequest extends PairRequest {
  sites: readonly PatchSite[]
  /** How many neurons to list. */
  neurons: number
}

const hookSite: Record<PatchSite, string> = {
  resid_pre: 'hook_resid_pre',
  attn_out: 'hook_attn_out',
  mlp_out: 'hook_mlp_out',
  z: 'attn.hook_z',
  neurons: 'mlp.hook_post',
}

/**
 * Estimates for the wanted sites of all layers, from one forward pass of each prompt and one backward pass of the base.
 * @throws PatchbayError `input.invalid` for a metric that does not fit, `hook.unavailable` where the model lacks a site
 */
export async function attributionPatching(
  model: AnalysisModel,
  request: PatchingRequest,
  options: RunOptions = {},
): Promise<AttributionPatching> {
  requireBlocks(model)
  const pair = pairOf(model, request)
  const { base, source, partners, direction, alignment } = pair
  const { layers } = model.facts
  const notes: string[] = []
  const hooksOf = (site: PatchSite): string[] => {
    const all = Array.from({ length: layers }, (_, layer) => `blocks.${layer}.${hookSite[site]}`)
    if (site !== 'neurons') return all.map((hook) => (hookOf(model, hook), hook))
    const present = all.filter((hook) => model.facts.hooks.has(hook))
    if (present.length < layers)
      notes.push(
        `${layers - present.length} of ${layers} layers have no list of neurons: they are mixtures of experts, or the exported graph shows none.`,
      )
    return present
  }
  const hooks = new Map([...new Set(request.sites)].map((site) => [site, hooksOf(site)]))
  const captures = [...hooks.values()].flat()
  const run = await gradientsOf(
    model,
    { rows: [[...base.tokens]], metric: base.metric, hooks: captures, captures },
    options,
  )
  const other = captureInput(model, source.tokens, captures)
  const sources = await model.run(other, { signal: options.signal })
  const [baseMetric] = run.metrics
  const sourceMetric = await metricOfPrompt(model, source, { signal: options.signal })
  const ends = direction === 'noising' ? endsOf(baseMetric, sourceMetric) : endsOf(sourceMetric, baseMetric)
  if (partners.includes(null))
    notes.push('The prompts differ in length: only positions that the alignment pairs are patched.')

  const terms = (hook: string): Terms => ({
    base: run.activation(hook),
    source: sources.captures[hook],
    gradient: run.gradient(hook),
    partners,
  })
  const positions = partners.length
  const paired = partners.map((partner) => partner !== null)
  /** [layer, pos] or, with heads, [layer, head, pos] */
  const byPosition = (site: PatchSite): Tensor | null => {
    const names = hooks.get(site)
    if (names === undefined) return null
    const rows = names.map((hook) => positionTerms(terms(hook)))
    const inner = rows[0].shape
    const data = new Float32Array(rows.length * sizeOf(inner))
    rows.forEach((row, layer) => data.set(row.data, layer * row.data.length))
    return { shape: [rows.length, ...inner], data }
  }
  const map = (effect: Tensor | null) => (effect === null ? null : effectMap(ends, baseMetric, effect))
  const blank = (effect: Tensor | null): Tensor | null =>
    effect === null ? null : { ...effect, data: effect.data.map((x, i) => (paired[i % positions] ? x : NaN)) }
  const z = byPosition('z')
  const neuronHooks = hooks.get('neurons')
  return {
    evidence: run.evidence,
    source: evidenceOf(model, other),
    direction,
    ends,
    alignment,
    residPre: map(blank(byPosition('resid_pre'))),
    attnOut: map(blank(byPosition('attn_out'))),
    mlpOut: map(blank(byPosition('mlp_out'))),
    heads: map(z === null ? null : summedOverPositions(z)),
    headsByPosition: map(blank(z)),
    neurons:
      neuronHooks === undefined
        ? null
        : topNeurons(neuronHooks, (hook) => neuronTerms(terms(hook)), request.neurons, {
            ends,
            base: baseMetric,
          }),
    notes,
  }
}

/** What the estimate at one hook point is made of; activations of one prompt each, [1, pos, …]. */
interface Terms {
  base: Tensor
  source: Tensor
  gradient: Tensor
  /** For each position of the base its partner in the source. */
  partners: readonly (number | null)[]
}

/** (source − base) · gradient summed over the last axis: [pos] or [head, pos]. */
function positionTerms({ base, source, gradient, partners }: Terms): Tensor {
  const [, positions, ...inner] = base.shape
  const width = inner[inner.length - 1]
  const groups = sizeOf(inner) / width
  const data = new Float32Array(groups * positions)
  partners.forEach((partner, position) => {
    if (partner === null) return
    for (let group = 0; group < groups; group++) {
      const here = (position * groups + group) * width
      const there = (partner * groups + group) * width
      let sum = 0
      for (let i = 0; i < width; i++)
        sum += (source.data[there + i] - base.data[here + i]) * gradient.data[here + i]
      data[group * positions + position] = sum
    }
  })
  return { shape: inner.length > 1 ? [groups, positions] : [positions], data }
}

/** The same summed over positions, for each entry of the last axis: [width]. */
function neuronTerms({ base, source, gradient, partners }: Terms): Float64Array {
  const width = base.shape[base.shape.length - 1]
  const sums = new Float64Array(width)
  partners.forEach((partner, position) => {
    if (partner === null) return
    for (let i = 0; i < width; i++) {
      const here = position * width + i
      sums[i] += (source.data[partner * width + i] - base.data[here]) * gradient.data[here]
    }
  })
  return sums
}

/** [layer, head, pos] → [layer, head] */
function summedOverPositions({ shape: [layers, heads, positions], data }: Tensor): Tensor {
  const sums = Float32Array.from({ length: layers * heads }, (_, i) =>
    data.subarray(i * positions, (i + 1) * positions).reduce((sum, x) => sum + x, 0),
  )
  return { shape: [layers, heads], data: sums }
}

function topNeurons(
  hooks: readonly string[],
  effectsOf: (hook: string) => Float64Array,
  count: number,
  { ends, base }: { ends: MetricEnds; base: number },
): NeuronEffect[] {
  const all = hooks.flatMap((hook) => {
    const layer = Number(hook.split('.')[1])
    const effects = effectsOf(hook)
    const order = Array.from(effects.keys()).sort(
      (a, b) => Math.abs(effects[b]) - Math.abs(effects[a]) || a - b,
    )
    return order.slice(0, count).map((neuron) => ({ layer, neuron, effect: effects[neuron] }))
  })
  all.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect))
  return all.slice(0, count).map((one) => ({ ...one, normalised: normalised(ends, base + one.effect) }))
}
