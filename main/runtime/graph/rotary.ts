/** Rotary position embedding of queries or keys, as one operator or written out. */
import type { RopeSpec } from '../../models/rope'
import type { Value } from '../../onnx/graph'
import type { Context } from './context'

/** Rotates x [batch, columns, heads·d_head] by cos and sin [batch, columns, rotary/2]. */
export function rotated(
  { g, lowering }: Context<string>,
  rope: RopeSpec | null,
  inputs: { readonly cos: Value | null; readonly sin: Value | null },
  x: Value,
  heads: number,
): Value {
  const { cos, sin } = inputs
  if (rope === null || cos === null || sin === null) return x
  if (lowering.fusedRotary)
    return g.op('RotaryEmbedding', [x, cos, sin], {
      interleaved: rope.interleaved ? 1 : 0,
      num_heads: heads,
      rotary_embedding_dim: rope.dim,
    })
  const headDim = Number(x.shape[2]) / heads
  const half = rope.dim / 2
  const [, columns] = x.shape
  const perHead = g.reshape(x, ['batch', columns, heads, headDim])
  const between = (from: number, to: number, step: number): Value =>
    g.op('Slice', [perHead, ...[[from], [to], [3], [step]].map((bound) => g.integers(bound))], {})
  const a = rope.interleaved ? between(0, rope.dim, 2) : between(0, half, 1)
  const b = rope.interleaved ? between(1, rope.dim, 2) : between(half, rope.dim, 1)
  const c = g.reshape(cos, ['batch', columns, 1, half])
  const s = g.reshape(sin, ['batch', columns, 1, half])
  const first = g.op('Sub', [g.op('Mul', [a, c], {}), g.op('Mul', [b, s], {})], {})
  const second = g.op('Add', [g.op('Mul', [b, c], {}), g.op('Mul', [a, s], {})], {})
  const single = (value: Value): Value => g.reshape(value, ['batch', columns, heads, half, 1])
  const turned = rope.interleaved
    ? g.reshape(g.op('Concat', [single(first), single(second)], { axis: 4 }), [
        'batch',
        columns,
        heads,
        rope.dim,
      ])
    : g.op('Concat', [first, second], { axis: 3 })
  const whole =
    rope.dim === headDim ? turned : g.op('Concat', [turned, between(rope.dim, headDim, 1)], { axis: 3 })
  return g.reshape(whole, x.shape)
}
