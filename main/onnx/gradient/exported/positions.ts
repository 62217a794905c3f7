/** What depends on positions in fused operators, written out: the causal mask and the rotation by tables of angles. */
import type { Dim, Value } from '../../graph'
import type { Emitter } from '../emit'
import type { Foreign } from './reading'

/** 0, 1, …, as float [n], for n as int64 [1]: the places of the elements of n ones. */
function counted(emit: Emitter, count: Value): Value {
  const { g } = emit
  const ones = g.opAs({ dtype: 'float32', shape: ['?count'] }, 'Expand', [g.scalar(1), count], {})
  const places = emit.reshapeAs(g.op('NonZero', [ones], {}), g.integers([-1]), ['?count'])
  return emit.cast(places, 'float32')
}

/** How many earlier positions there are, int64 [1]. @param past [batch, kv_head, past, d_head] */
const lengthOf = (emit: Emitter, past: Value | null): Value =>
  past === null ? emit.g.integers([0]) : emit.size(past, 2)

/**
 * 0 where a query [batch, pos, …] may look at a key (also of earlier positions), else −∞; [pos, past + pos].
 * @param window how many keys each query sees at most; −1 for all up to its own
 */
export function causalMask({ emit }: Foreign, q: Value, k: Value, past: Value | null, window: number): Value {
  const { g } = emit
  const earlier = lengthOf(emit, past)
  const queries = emit.add(counted(emit, emit.size(q, 1)), emit.cast(earlier, 'float32'))
  const keys = counted(emit, emit.add(emit.size(k, 1), earlier))
  const distance = emit.sub(
    g.op('Unsqueeze', [queries, g.integers([1])], {}),
    g.op('Unsqueeze', [keys, g.integers([0])], {}),
  )
  const limit = (op: 'Min' | 'Max', bound: number): Value =>
    emit.op('Equal', g.op(op, [distance, g.scalar(bound)], {}), g.scalar(bound))
  const hidden = emit.number(-Infinity, q)
  const causal = emit.where(limit('Min', 0), emit.number(0, q), hidden)
  return window < 0 ? causal : emit.where(limit('Max', window - 1), causal, hidden)
}

interface Rotation {
  /** Whether pairs are neighbours, or halves of the rotated part. */
  readonly interleaved: boolean
  /** Tables [position, rotary/2], or angles [batch, pos, rotary/2] where there are no positions to look up. */
  readonly cos: Value
  readonly sin: Value
  readonly heads: number
  /** Positions [batch, pos]; all of `pos` [batch, pos, …] behind the earlier ones; null where angles are given. */
  readonly at: Value | { readonly from: Value | null; readonly pos: Value } | null
}

/** x [batch, pos, heads · d_head] or [batch, head, pos, d_head], rotated. */
export function rotated(emit: Emitter, x: Value, { interleaved, cos, sin, heads, at }: Rotation): Value {
  const { g } = emit
  const isFlat = x.shape.length === 3
  const width = Number(x.shape[x.shape.length - 1]) / (isFlat ? heads : 1)
  const half = Number(cos.shape[cos.shape.length - 1])
  const perHead = isFlat
    ? emit.reshapeAs(x, g.integers([0, 0, heads, width]), [x.shape[0], x.shape[1], heads, width])
    : x
  const [c, s] = [cos, sin].map((table) =>
    g.op(
      'Unsqueeze',
      [at === null ? table : g.op('Gather', [table, positions()], { axis: 0 }), g.integers([isFlat ? 2 : 1])],
      {},
    ),
  )
  const part = (from: number, to: number, step: number): Value =>
    g.op('Slice', [perHead, ...[from, to, 3, step].map((bound) => g.integers([bound]))], {})
  const [a, b] = interleaved
    ? [part(0, 2 * half, 2), part(1, 2 * half, 2)]
    : [part(0, half, 1), part(half, 2 * half, 1)]
  const first = emit.sub(emit.mul(a, c), emit.mul(b, s))
  const second = emit.add(emit.mul(b, c), emit.mul(a, s))
  const turned = interleaved ? woven(first, second) : g.op('Concat', [first, second], { axis: 3 })
  const whole = 2 * half === width ? turned : g.op('Concat', [turned, part(2 * half, width, 1)], { axis: 3 })
  return isFlat ? emit.reshape(whole, x) : whole

  function positions(): Value {
    if (at === null || 'dtype' in at) return at ?? cos
    const earlier = emit.cast(lengthOf(emit, at.from), 'float32')
    const all = emit.add(counted(emit, emit.size(at.pos, 1)), earlier)
    return emit.cast(g.op('Unsqueeze', [all, g.integers([0])], {}), 'int64')
  }

  function woven(even: Value, odd: Value): Value {
    const columns = [even, odd].map((value) => g.op('Unsqueeze', [value, g.integers([4])], {}))
    const pairs = g.op('Concat', columns, { axis: 4 })
    const shape: Dim[] = [...even.shape.slice(0, 3), 2 * half]
    return emit.reshapeAs(pairs, g.integers([0, 0, 0, 2 * half]), shape)
  }
}
