/**
 * What a decoder is made of, as data: norms, positions, attention, MLP, residual topology, and where each weight lies in
 * the checkpoint. An architecture file reads a model's configuration into a `TransformerSpec`; one builder in the runtime
 * turns that into block graphs. Everything that changes a number is in here.
 */
import type { RopeSpec } from './rope'
import type { Weight } from './weights'

export interface LinearSpec {
  readonly weight: Weight
  readonly bias: Weight | null
  /** `out-in`: y = x Wᵀ (nn.Linear). `in-out`: y = x W (GPT-2's Conv1D). */
  readonly layout: 'out-in' | 'in-out'
  readonly inputs: number
  readonly outputs: number
}

/** rms: x / √(mean(x²) + eps) · weight. layer: (x − mean) / √(variance + eps) · weight + bias. */
export interface NormSpec {
  readonly kind: 'rms' | 'layer'
  readonly eps: number
  readonly weight: Weight | null
  readonly bias: Weight | null
}

export const activations = [
  'silu',
  'gelu',
  'gelu_tanh',
  'quick_gelu',
  'relu',
  'relu2',
  'tanh',
  'sigmoid',
] as const
export type Activation = (typeof activations)[number]

/**
 * How queries, keys and values come out of the block's input.
 * A fused projection holds them `stacked` (all q, all k, all v) or `grouped` (for each kv head: its queries, key, value).
 */
export type Projections =
  | { readonly kind: 'separate'; readonly q: LinearSpec; readonly k: LinearSpec; readonly v: LinearSpec }
  | { readonly kind: 'fused'; readonly linear: LinearSpec; readonly layout: 'stacked' | 'grouped' }

/** Norm of queries or keys before the rotary embedding: over each head (weight [d_head] or [head, d_head]) or the full width. */
export interface HeadNormSpec {
  readonly norm: NormSpec
  readonly over: 'head' | 'width'
  /** Weights [d_head], one for each head, where the checkpoint holds them apart; the norm itself then has none. */
  readonly apart: readonly Weight[] | null
}

/**
 * ALiBi: scores get scale · (f(key position) − f(query position)) with f(p) = slope · p, one slope a head. Falcon's code
 * computes f in bfloat16, which shows in the numbers where a slope is no power of two.
 */
export interface AlibiSpec {
  readonly slopes: readonly number[]
  readonly scale: number
  readonly bfloat16: boolean
}

export interface AttentionSpec {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly projections: Projections
  /** Multiplies queries right after their projection (OPT). */
  readonly queryMultiplier: number
  /** Clamps q, k and v to ±clip right after the projection. */
  readonly clip: number | null
  readonly qNorm: HeadNormSpec | null
  readonly kNorm: HeadNormSpec | null
  /** Index into the spec's `ropes`, or null where positions enter otherwise. */
  readonly rope: number | null
  readonly alibi: AlibiSpec | null
  /** A query sees this many positions, itself included; null sees all before it. */
  readonly window: number | null
  /** Scores are q·k · scale. */
  readonly scale: number
  /** Scores become cap · tanh(scores / cap). */
  readonly softcap: number | null
  /** One extra logit a head in the softmax, whose probability is dropped: [head]. */
  readonly sinks: Weight | null
  readonly output: LinearSpec
}

export interface PlainMlpSpec {
  readonly kind: 'plain'
  readonly width: number
  readonly activation: Activation
  readonly input: LinearSpec
  readonly output: LinearSpec
}

/** output(activation(gate(x)) · up(x)) */
export interface GatedMlpSpec {
  readonly kind: 'gated'
  readonly width: number
  readonly activation: Activation
  readonly gate: LinearSpec
  readonly up: LinearSpec
  readonly output: LinearSpec
}

/** gpt-oss: with g and u clamped at `limit`, output(g · σ(alpha · g) · (u + 1)). */
export interface ClampedSwigluSpec extends Omit<GatedMlpSpec, 'kind' | 'activation'> {
  readonly kind: 'clamped-swiglu'
  readonly alpha: number
  readonly limit: number
}

export interface MixtureSpec {
  readonly kind: 'mixture'
  readonly width: number
  readonly router: LinearSpec
  readonly experts: readonly (GatedMlpSpec | ClampedSwigluSpec)[]
  readonly topK: number
  /** softmax-first: softmax over all experts, then the top k. topk-first: softmax over the top k alone. */
  readonly weighting: 'softmax-first' | 'topk-first'
  /** Divides the chosen weights by their sum. */
  readonly normalise: boolean
}

export type MlpSpec = PlainMlpSpec | GatedMlpSpec | ClampedSwigluSpec | MixtureSpec

/**
 * One block on the residual stream x, with a = attention and m = MLP (post-norms and the multiplier included):
 * - sequential: mid = x + a(ln1 x), out = mid + m(ln2 mid)
 * - parallel: out = x + a(ln1 x) + m(ln2 x); there is no resid_mid
 * - normed-residual (BLOOM's option): as sequential, but the residual added to is the norm's output: mid = ln1 x + a(ln1 x), …
 * - post-norm (OPT-350m): mid = ln1(x + a(x)), out = ln2(mid + m(mid))
 */
export type Topology = 'sequential' | 'parallel' | 'normed-residual' | 'post-norm'

export interface BlockSpec {
  readonly topology: Topology
  readonly attentionNorm: NormSpec | null
  readonly attention: AttentionSpec
  /** Norm on attention's output before it is added. */
  readonly attentionPostNorm: NormSpec | null
  /** In a parallel block null means that the MLP reads what attention reads. */
  readonly mlpNorm: NormSpec | null
  readonly mlp: MlpSpec
  readonly mlpPostNorm: NormSpec | null
  /** Multiplies attention's and the MLP's output before they are added. */
  readonly residualMultiplier: number
}

export interface EmbeddingSpec {
  /** [vocab, width] */
  readonly tokens: Weight
  readonly multiplier: number
  /** Up-projection where the embedding is narrower than the residual stream. */
  readonly projection: LinearSpec | null
  readonly norm: NormSpec | null
  /** Learned positions [positions, d_model]; row `offset` is position 0. */
  readonly positions: { readonly table: Weight; readonly offset: number } | null
}

export interface UnembeddingSpec {
  readonly norm: NormSpec | null
  readonly projection: LinearSpec | null
  readonly head: LinearSpec
  /** Whether the head is the embedding matrix. */
  readonly tied: boolean
  readonly multiplier: number
  readonly softcap: number | null
}

export interface TransformerSpec {
  /** Registry name of the family: `llama`, `gpt2`, … */
  readonly family: string
  readonly dModel: number
  readonly vocab: number
  readonly contextLength: number
  readonly embedding: EmbeddingSpec
  readonly blocks: readonly BlockSpec[]
  readonly unembedding: UnembeddingSpec
  readonly ropes: readonly RopeSpec[]
}

/** Every weight that a model, or a part of one, needs: each once by name. */
export function weightsOf(spec: TransformerSpec | BlockSpec | EmbeddingSpec | UnembeddingSpec): Weight[] {
  const found = new Map<string, Weight>()
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return
    if ('tensor' in value && 'steps' in value) found.set((value as Weight).name, value as Weight)
    else Object.values(value).forEach(visit)
  }
  visit(spec)
  return [...found.values()]
}

/** The matrices that a model multiplies with or looks rows up in, [out, in]: each once by name. */
export function matricesOf(spec: TransformerSpec): Weight[] {
  const found = new Map<string, Weight>([[spec.embedding.tokens.name, spec.embedding.tokens]])
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return
    if ('layout' in value && value.layout === 'out-in') {
      const { weight } = value as LinearSpec
      found.set(weight.name, weight)
    } else Object.values(value).forEach(visit)
  }
  visit(spec)
  return [...found.values()]
}
