/**
 * An ONNX graph as plain data, typed by operator: what the builder makes, what gradient rules and surgery walk over,
 * what `serialise` writes. It knows nothing of language models.
 */
import type { Attributes, Operator } from './operators'

export type DType =
  'float32' | 'float16' | 'bfloat16' | 'float64' | 'int64' | 'int32' | 'uint8' | 'int8' | 'bool'

/**
 * A dimension: a number, or a symbol. A product of symbols is written with `*` (`batch*pos`). A symbol that begins with
 * `?` stands for "1 or whatever it is broadcast against".
 */
export type Dim = number | string

/** A value of a graph: an input, an initialiser, or what a node computes. */
export interface Value {
  /** Unique in its graph; the builder may rename a value until the graph is finished. */
  name: string
  readonly dtype: DType
  /** Outermost first; `[]` is a scalar. */
  readonly shape: readonly Dim[]
  /** The elements of a small integer vector (shapes, axes, slice bounds), where known. Shape inference reads them. */
  readonly integers?: readonly Dim[]
}

/** One node; `null` stands for an optional input that is left out. */
export interface Node<O extends Operator = Operator> {
  readonly op: O
  readonly attributes: Attributes[O]
  readonly inputs: readonly (Value | null)[]
  readonly outputs: readonly (Value | null)[]
}

/** Where an initialiser's bytes are: in the model itself, or in a file in the session's external-data folder. */
export type Storage =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | { readonly kind: 'external'; readonly file: string; readonly offset: number; readonly length: number }

export interface Initialiser {
  readonly value: Value
  readonly storage: Storage
}

export interface Graph {
  readonly name: string
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  readonly initialisers: readonly Initialiser[]
  /** In topological order. */
  readonly nodes: readonly Node[]
}

/** The product of dimensions: a number where all are numbers, else their symbols joined by `*`. */
export function product(dims: readonly Dim[]): Dim {
  let factor = 1
  const symbols: string[] = []
  for (const dim of dims) {
    if (typeof dim === 'number') factor *= dim
    else symbols.push(...dim.split('*'))
  }
  if (symbols.length === 0 || factor === 0) return factor
  symbols.sort()
  return factor === 1 ? symbols.join('*') : [String(factor), ...symbols].join('*')
}

/** `[batch, pos, 64]`, for messages. */
export const shapeText = (shape: readonly Dim[]): string => `[${shape.join(', ')}]`
