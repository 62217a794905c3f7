/**
 * Decoders put together from what their families differ in. An architecture file states only its own: names, norms,
 * topology, and what is special about attention or MLP; all the rest is here, once.
 */
import type { RopeSpec } from '../rope'
import type {
  Activation,
  AttentionSpec,
  BlockSpec,
  EmbeddingSpec,
  GatedMlpSpec,
  HeadNormSpec,
  LinearSpec,
  MlpSpec,
  NormSpec,
  PlainMlpSpec,
  Projections,
  Topology,
  TransformerSpec,
  UnembeddingSpec,
} from '../spec'
import { sliced, weight } from '../weights'
import { unsupported } from './config'
import { linear } from './parts'

/** Where the parts lie, without `.weight`; those of a block behind the block's prefix. null: the family has no such part. */
export interface Names {
  readonly embedding: string
  readonly finalNorm: string | null
  readonly head: string
  readonly block: (layer: number) => string
  readonly attentionNorm: string | null
  /** All of q, k and v in one matrix; where null, q, k and v are apart. */
  readonly qkv: string | null
  readonly q: string
  readonly k: string
  readonly v: string
  readonly qNorm: string | null
  readonly kNorm: string | null
  readonly o: string
  readonly attentionPostNorm: string | null
  readonly mlpNorm: string | null
  /** Gate rows, then up rows, in one matrix. */
  readonly gateUp: string | null
  /** Gate of a gated MLP; a plain one has none. */
  readonly gate: string | null
  readonly up: string
  readonly down: string
  readonly mlpPostNorm: string | null
}

export interface Decoder {
  readonly family: string
  readonly names: Names
  readonly hidden: number
  readonly intermediate: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocab: number
  readonly contextLength: number
  /** A norm of the family: its weight has this shape and lies under this prefix. */
  readonly norm: (prefix: string, ...shape: number[]) => NormSpec
  readonly activation: Activation
  readonly biases?: {
    readonly qkv?: boolean
    readonly output?: boolean
    readonly mlp?: boolean
    readonly head?: boolean
  }
  /** How its linears lie, where not as nn.Linear. */
  readonly linear?: typeof linear
  readonly topology?: Topology
  /** Order of rows of a fused projection. */
  readonly qkvLayout?: 'stacked' | 'grouped'
  /**
   * What the norm of queries and keys runs over. `each-head` has a weight of its own for every head; with `heads-apart`
   * each of them is a module `norms.{head}`.
   */
  readonly headNorm?: 'head' | 'each-head' | 'heads-apart' | 'width'
  readonly tied: boolean
  readonly ropes: readonly RopeSpec[]
  /** Brings a query or key projection into Hugging Face's order of rows. */
  readonly arrange?: (projection: LinearSpec, heads: number) => LinearSpec
  /** What is special about a layer's attention. Where ropes are given, the first is used unless this says otherwise. */
  readonly attention?: (layer: number, prefix: string) => Partial<AttentionSpec>
  /** Another MLP than the family's usual one. */
  readonly mlp?: (layer: number, prefix: string) => MlpSpec | null
  readonly residualMultiplier?: number
  readonly embedding?: Partial<EmbeddingSpec>
  readonly unembedding?: Partial<UnembeddingSpec>
}

/** The spec of a decoder. */
export function decoder(model: Decoder): TransformerSpec {
  refuseImpossible(model)
  const { names, hidden, vocab, biases = {} } = model
  return {
    family: model.family,
    dModel: hidden,
    vocab,
    contextLength: model.contextLength,
    embedding: {
      tokens: weight(`${names.embedding}.weight`, vocab, hidden),
      multiplier: 1,
      projection: null,
      norm: null,
      positions: null,
      ...model.embedding,
    },
    blocks: Array.from({ length: model.layers }, (_, layer) => block(model, layer)),
    unembedding: {
      norm: names.finalNorm === null ? null : model.norm(names.finalNorm, hidden),
      projection: null,
      head: {
        ...linear(model.tied ? names.embedding : names.head, hidden, vocab, false),
        bias: biases.head ? weight(`${names.head}.bias`, vocab) : null,
      },
      tied: model.tied,
      multiplier: 1,
      softcap: null,
      ...model.unembedding,
    },
    ropes: model.ropes,
  }
}

/** Settings that no model has, and that could take any amount of memory here. */
function refuseImpossible({ family, layers, heads, kvHeads }: Decoder): void {
  if (layers > 4096) throw unsupported(family, 'num_hidden_layers', `is ${layers}, more than any model has`)
  if (heads > 65536) throw unsupported(family, 'num_attention_heads', `is ${heads}, more than any model has`)
  if (heads % kvHeads !== 0)
    throw unsupported(family, 'num_key_value_heads', `is ${kvHeads}, which does not divide ${heads} heads`)
}

function block(model: Decoder, layer: number): BlockSpec {
  const { names, hidden } = model
  const prefix = names.block(layer)
  const norm = (name: string | null): NormSpec | null =>
    name === null ? null : model.norm(prefix + name, hidden)
  return {
    topology: model.topology ?? 'sequential',
    attentionNorm: norm(names.attentionNorm),
    attention: attention(model, prefix, layer),
    attentionPostNorm: norm(names.attentionPostNorm),
    mlpNorm: norm(names.mlpNorm),
    mlp: model.mlp?.(layer, prefix) ?? denseMlp(model, prefix, model.intermediate),
    mlpPostNorm: norm(names.mlpPostNorm),
    residualMultiplier: model.residualMultiplier ?? 1,
  }
}

function attention(model: Decoder, prefix: string, layer: number): AttentionSpec {
  const { names, hidden, heads, kvHeads, headDim, biases = {} } = model
  return {
    heads,
    kvHeads,
    headDim,
    projections: projections(model, prefix),
    queryMultiplier: 1,
    clip: null,
    qNorm: headNorm(model, prefix, names.qNorm, heads),
    kNorm: headNorm(model, prefix, names.kNorm, kvHeads),
    rope: model.ropes.length > 0 ? 0 : null,
    alibi: null,
    window: null,
    scale: 1 / Math.sqrt(headDim),
    softcap: null,
    sinks: null,
    output: linearOf(model)(prefix + names.o, heads * headDim, hidden, biases.output ?? false),
    ...model.attention?.(layer, prefix),
  }
}

function projections(model: Decoder, prefix: string): Projections {
  const { names, hidden, heads, kvHeads, headDim, biases = {} } = model
  const bias = biases.qkv ?? false
  if (names.qkv !== null)
    return {
      kind: 'fused',
      linear: linearOf(model)(prefix + names.qkv, hidden, (heads + 2 * kvHeads) * headDim, bias),
      layout: model.qkvLayout ?? 'stacked',
    }
  const arrange = model.arrange ?? ((projection: LinearSpec) => projection)
  return {
    kind: 'separate',
    q: arrange(linearOf(model)(prefix + names.q, hidden, heads * headDim, bias), heads),
    k: arrange(linearOf(model)(prefix + names.k, hidden, kvHeads * headDim, bias), kvHeads),
    v: linearOf(model)(prefix + names.v, hidden, kvHeads * headDim, bias),
  }
}

function headNorm(model: Decoder, prefix: string, name: string | null, heads: number): HeadNormSpec | null {
  if (name === null || model.headNorm === undefined) return null
  const { headDim, headNorm: over } = model
  const path = prefix + name
  if (over === 'heads-apart')
    return {
      norm: { ...model.norm(path, headDim), weight: null, bias: null },
      over: 'head',
      apart: Array.from({ length: heads }, (_, head) => weight(`${path}.norms.${head}.weight`, headDim)),
    }
  const shape = over === 'head' ? [headDim] : over === 'width' ? [heads * headDim] : [heads, headDim]
  return { norm: model.norm(path, ...shape), over: over === 'width' ? 'width' : 'head', apart: null }
}

/** The family's usual MLP with an inner width: plain, gated, or gated with both branches in one matrix. */
export function denseMlp(model: Decoder, prefix: string, width: number): PlainMlpSpec | GatedMlpSpec {
  const { names, hidden, activation, biases = {} } = model
  const bias = biases.mlp ?? false
  const made = linearOf(model)
  const output = made(prefix + names.down, width, hidden, bias)
  if (names.gateUp !== null) {
    const both = made(prefix + names.gateUp, hidden, 2 * width, bias)
    return {
      kind: 'gated',
      width,
      activation,
      gate: rows(both, 0, width),
      up: rows(both, width, 2 * width),
      output,
    }
  }
  const up = made(prefix + names.up, hidden, width, bias)
  if (names.gate === null) return { kind: 'plain', width, activation, input: up, output }
  return {
    kind: 'gated',
    width,
    activation,
    gate: made(prefix + names.gate, hidden, width, bias),
    up,
    output,
  }
}

const linearOf = (model: Decoder): typeof linear => model.linear ?? linear

/** Some of the outputs of a linear. */
const rows = (whole: LinearSpec, start: number, end: number): LinearSpec => ({
  ...whole,
  weight: sliced(whole.weight, 0, start, end),
  bias: whole.bias === null ? null : sliced(whole.bias, 0, start, end),
  outputs: end - start,
})
