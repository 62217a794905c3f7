/** The nodes of a dictionary: from activations to features, and from features to a reconstruction. */
import { PatchbayError } from '../../../preload/errors'
import type { GraphBuilder } from '../../onnx/builder'
import type { Value } from '../../onnx/graph'
import type { DictionaryConfig } from './config'

/** A dictionary's weights as values of a graph, by name. */
export type WeightValues = ReadonlyMap<string, Value>

/** What decoding must undo. */
interface Normalised {
  readonly x: Value
  readonly undo: (y: Value) => Value
}

export interface Encoded {
  /** Before the activation function; of gated dictionaries: of the gate. [rows, d_sae] */
  readonly pre: Value
  /** [rows, d_sae] */
  readonly features: Value
  /** Undoes the normalisation of x. */
  readonly undo: (y: Value) => Value
}

/** x [rows, d_in] → features. */
export function encodeNodes(
  g: GraphBuilder,
  config: DictionaryConfig,
  weights: WeightValues,
  x: Value,
): Encoded {
  const normalised = normalise(g, config, x)
  const w = (name: string): Value => weightOf(weights, name)
  const input = config.subtractDecoderBias ? g.op('Sub', [normalised.x, w('b_dec')], {}) : normalised.x
  const product = g.op('MatMul', [input, w('W_enc')], {})
  const plus = (value: Value, bias: string): Value => g.op('Add', [value, w(bias)], {})
  const { undo } = normalised
  switch (config.activation) {
    case 'standard': {
      const pre = plus(product, 'b_enc')
      return { pre, features: g.op('Relu', [pre], {}), undo }
    }
    case 'topk': {
      const plain = plus(product, 'b_enc')
      const pre = config.rescaleByDecoderNorm ? g.op('Mul', [plain, decoderNorms(g, w('W_dec'))], {}) : plain
      return { pre, features: topk(g, pre, config.k ?? 1), undo }
    }
    case 'jumprelu': {
      const pre = plus(product, 'b_enc')
      const open = greater(g, pre, w('threshold'))
      return { pre, features: g.op('Mul', [g.op('Relu', [pre], {}), open], {}), undo }
    }
    case 'gated': {
      const pre = plus(product, 'b_gate')
      const magnitude = plus(g.op('Mul', [product, g.op('Exp', [w('r_mag')], {})], {}), 'b_mag')
      const open = greater(g, pre, g.scalar(0))
      return { pre, features: g.op('Mul', [g.op('Relu', [magnitude], {}), open], {}), undo }
    }
  }
}

/**
 * Features [rows, d_sae] → reconstruction [rows, d_out]; the skip connection, on the raw x, is added where x is given.
 * @param undo of the encoding
 */
export function decodeNodes(
  g: GraphBuilder,
  config: DictionaryConfig,
  weights: WeightValues,
  features: Value,
  undo: Encoded['undo'],
  x: Value | null,
): Value {
  const wDec = weightOf(weights, 'W_dec')
  const scaled = config.rescaleByDecoderNorm ? g.op('Div', [features, decoderNorms(g, wDec)], {}) : features
  const product = g.op('MatMul', [scaled, wDec], {})
  const y = undo(g.op('Add', [product, weightOf(weights, 'b_dec')], {}))
  if (!config.skip || x === null) return y
  return g.op('Add', [y, g.op('Gemm', [x, weightOf(weights, 'W_skip')], { transB: 1 })], {})
}

function normalise(
  g: GraphBuilder,
  { normalise: kind, transcoder, dIn }: DictionaryConfig,
  x: Value,
): Normalised {
  const last = g.integers([-1])
  const sumOfSquares = (value: Value): Value =>
    g.op('ReduceSum', [g.op('Mul', [value, value], {}), last], { keepdims: 1 })
  const same = (y: Value): Value => y
  switch (kind) {
    case 'none':
      return { x, undo: same }
    case 'constant-norm': {
      const factor = g.op('Div', [g.scalar(Math.sqrt(dIn)), g.op('Sqrt', [sumOfSquares(x)], {})], {})
      const undo = (y: Value): Value => g.op('Div', [y, factor], {})
      return { x: g.op('Mul', [x, factor], {}), undo: transcoder ? same : undo }
    }
    case 'layer-norm': {
      const mean = g.op('ReduceMean', [x, last], { keepdims: 1 })
      const centred = g.op('Sub', [x, mean], {})
      const variance = g.op('Div', [sumOfSquares(centred), g.scalar(dIn - 1)], {})
      const deviation = g.op('Sqrt', [variance], {})
      const undo = (y: Value): Value => g.op('Add', [g.op('Mul', [y, deviation], {}), mean], {})
      const divisor = g.op('Add', [deviation, g.scalar(1e-5)], {})
      return { x: g.op('Div', [centred, divisor], {}), undo: transcoder ? same : undo }
    }
  }
}

/** The k largest of each row, then relu; zero elsewhere. */
export function topk(g: GraphBuilder, pre: Value, k: number): Value {
  const [values, indices] = g.ops('TopK', [pre, g.integers([k])], { axis: -1, largest: 1, sorted: 0 }, [
    'top',
    'indices',
  ])
  // Zero times a value would be no number where that is infinite.
  const zeros = g.op('Expand', [g.scalar(0), g.op('Shape', [pre], {})], {})
  return g.op('ScatterElements', [zeros, indices, g.op('Relu', [values], {})], { axis: -1 })
}

/** 1 where a > b, strictly, else 0; no gradient passes. */
export function greater(g: GraphBuilder, a: Value, b: Value): Value {
  const notAbove = g.op('Cast', [g.op('Equal', [g.op('Max', [a, b], {}), b], {})], { to: 'float32' })
  return g.op('Sub', [g.scalar(1), notAbove], {})
}

/** Norms of W_dec's rows [d_sae]. */
export const decoderNorms = (g: GraphBuilder, wDec: Value): Value =>
  g.op('Sqrt', [g.op('ReduceSum', [g.op('Mul', [wDec, wDec], {}), g.integers([-1])], { keepdims: 0 })], {})

export function weightOf(weights: WeightValues, name: string): Value {
  const value = weights.get(name)
  if (value === undefined) throw new PatchbayError('internal', `The dictionary’s graph has no ${name}.`)
  return value
}
