/** Matrices that are kept as four-bit codes, two in a byte, made into numbers by ordinary operators. */
import type { GraphBuilder } from './builder'
import { product, type Dim, type Value } from './graph'

/** Bytes [n, groups, group/2] → their nibbles as float32 [n, groups, group], the lower one of each byte first. */
export function nibbles(g: GraphBuilder, bytes: Value, shape: readonly [Dim, number, number]): Value {
  const both = g.op('Cast', [bytes], { to: 'float32' })
  const high = g.op('Floor', [g.op('Mul', [both, g.scalar(1 / 16)], {})], {})
  const low = g.op('Sub', [both, g.op('Mul', [high, g.scalar(16)], {})], {})
  const pairs = [low, high].map((part) => g.op('Unsqueeze', [part, g.integers([-1])], {}))
  return g.reshape(g.op('Concat', pairs, { axis: -1 }), shape)
}

/** The matrix of `MatMulNBits`: codes uint8 [N, groups, group/2], scales [N, groups] → scale · (code − 8), [N, K]. */
export function dequantised4(g: GraphBuilder, codes: Value, scales: Value, group: number): Value {
  const [rows, groups] = codes.shape.map(Number)
  const steps = g.op('Sub', [nibbles(g, codes, [rows, groups, group]), g.scalar(8)], {})
  const scaled = g.op('Mul', [steps, g.reshape(scales, [rows, groups, 1])], {})
  return g.reshape(scaled, [rows, Number(product([groups, group]))])
}
