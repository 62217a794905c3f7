/** Readings of operators that move, pick, reduce, normalise and multiply. */
import type { Value } from '../../graph'
import { axisOf } from '../emit'
import { as, flag, float, integer, listed, text, type Foreign, type Reading } from './reading'
import { integersOf } from '../../exported/attributes'

/** Whatever it does to the axes, elements stay in their order. */
const reshaped: Reading = (foreign) => as(foreign, 'Reshape', {}, [foreign.x(0)])

/** @param op of which kind, @param make what is reduced and what is made of the result, for kinds that are others in disguise */
const reduction =
  (op: 'ReduceSum' | 'ReduceMean' | 'ReduceMax', make?: Disguise): Reading =>
  (foreign) => {
    const axes = listed(foreign, 'axes', 1)
    if (axes === 'unknown') return 'its axes are known only when it runs'
    if ((axes === null || axes.length === 0) && flag(foreign, 'noop_with_empty_axes', 0) === 1)
      return make === undefined ? as(foreign, 'Identity', {}, [foreign.x(0)]) : 'it reduces no axis'
    const { emit } = foreign
    const over = axes === null || axes.length === 0 ? [...foreign.x(0).shape.keys()] : axes
    const attributes = { keepdims: flag(foreign, 'keepdims', 1) }
    if (make === undefined) return as(foreign, op, attributes, [foreign.x(0), emit.g.integers(over)])
    const inner = make.before(foreign, foreign.x(0))
    return [make.after(foreign, emit.g.op(op, [inner, emit.g.integers(over)], attributes))]
  }

interface Disguise {
  before(foreign: Foreign, x: Value): Value
  after(foreign: Foreign, reduced: Value): Value
}
const asItIs = (_: Foreign, x: Value): Value => x
const negated = ({ emit }: Foreign, x: Value): Value => emit.op('Neg', x)
const squared = ({ emit }: Foreign, x: Value): Value => emit.mul(x, x)
const magnitude = ({ emit }: Foreign, x: Value): Value => emit.g.op('Max', [x, emit.op('Neg', x)], {})
const rooted = ({ emit }: Foreign, x: Value): Value => emit.op('Sqrt', x)

/** Before operator set 13, softmax is over all axes from `axis` on. */
function softmaxAxis(foreign: Foreign): number | null {
  const axis = axisOf(integer(foreign, 'axis', foreign.opset < 13 ? 1 : -1), foreign.x(0))
  return foreign.opset < 13 && axis !== foreign.x(0).shape.length - 1 ? null : axis
}

const normalisation =
  (op: 'LayerNormalization' | 'RMSNormalization'): Reading =>
  (foreign) =>
    as(foreign, op, { axis: integer(foreign, 'axis', -1), epsilon: float(foreign, 'epsilon', 1e-5) })

const reductionOf = (foreign: Foreign): 'none' | 'add' | null => {
  const found = text(foreign, 'reduction', 'none')
  return found === 'none' || found === 'add' ? found : null
}

export const tensors: Readonly<Record<string, Reading>> = {
  Reshape: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Flatten: reshaped,
  Expand: (foreign) => as(foreign, 'Expand', {}),
  Transpose: (foreign) => {
    const reversed = [...foreign.x(0).shape.keys()].reverse()
    return as(foreign, 'Transpose', { perm: integersOf(foreign.node, 'perm') ?? reversed })
  },
  Concat: (foreign) => as(foreign, 'Concat', { axis: integer(foreign, 'axis', 0) }),
  Split: (foreign) => as(foreign, 'Split', { axis: integer(foreign, 'axis', 0) }, [foreign.x(0)]),
  Slice: (foreign) => slice(foreign),
  Gather: (foreign) => as(foreign, 'Gather', { axis: integer(foreign, 'axis', 0) }),
  GatherElements: (foreign) => as(foreign, 'GatherElements', { axis: integer(foreign, 'axis', 0) }),
  GatherND: (foreign) =>
    integer(foreign, 'batch_dims', 0) === 0 ? as(foreign, 'GatherND', {}) : 'it has batch axes',
  ScatterElements: (foreign) => {
    const kind = reductionOf(foreign)
    if (kind === null) return 'it multiplies or compares what it writes'
    return as(foreign, 'ScatterElements', { axis: integer(foreign, 'axis', 0), reduction: kind })
  },
  ScatterND: (foreign) => {
    const kind = reductionOf(foreign)
    return kind === null
      ? 'it multiplies or compares what it writes'
      : as(foreign, 'ScatterND', { reduction: kind })
  },
  TopK: (foreign) => as(foreign, 'TopK', { axis: integer(foreign, 'axis', -1), largest: 1, sorted: 1 }),

  ReduceSum: reduction('ReduceSum'),
  ReduceMean: reduction('ReduceMean'),
  ReduceMax: reduction('ReduceMax'),
  ReduceMin: reduction('ReduceMax', { before: negated, after: negated }),
  ReduceSumSquare: reduction('ReduceSum', { before: squared, after: asItIs }),
  ReduceL1: reduction('ReduceSum', { before: magnitude, after: asItIs }),
  ReduceL2: reduction('ReduceSum', { before: squared, after: rooted }),
  Softmax: (foreign) => {
    const axis = softmaxAxis(foreign)
    return axis === null ? 'it is over several axes' : as(foreign, 'Softmax', { axis })
  },
  // x − max − log Σ exp(x − max)
  LogSoftmax: (foreign) => {
    const axis = softmaxAxis(foreign)
    if (axis === null) return 'it is over several axes'
    const { emit } = foreign
    const largest = emit.g.op('ReduceMax', [foreign.x(0), emit.g.integers([axis])], { keepdims: 1 })
    const offset = emit.sub(foreign.x(0), largest)
    return [emit.sub(offset, emit.op('Log', emit.sum(emit.op('Exp', offset), [axis])))]
  },

  LayerNormalization: normalisation('LayerNormalization'),
  RMSNormalization: normalisation('RMSNormalization'),
  SimplifiedLayerNormalization: normalisation('RMSNormalization'),

  MatMul: (foreign) =>
    foreign.x(0).shape.length < 2 || foreign.x(1).shape.length < 2
      ? 'it multiplies a vector'
      : as(foreign, 'MatMul', {}),
  Gemm: (foreign) =>
    as(foreign, 'Gemm', {
      transA: flag(foreign, 'transA', 0),
      transB: flag(foreign, 'transB', 0),
      alpha: float(foreign, 'alpha', 1),
      beta: float(foreign, 'beta', 1),
    }),
  FusedMatMul: (foreign) => {
    if (flag(foreign, 'transBatchA', 0) === 1 || flag(foreign, 'transBatchB', 0) === 1)
      return 'it turns batches around'
    const { emit } = foreign
    const side = (index: number, name: string): Value =>
      flag(foreign, name, 0) === 1 ? emit.swapped(foreign.x(index)) : foreign.x(index)
    return [emit.times(emit.matmul(side(0, 'transA'), side(1, 'transB')), float(foreign, 'alpha', 1))]
  },
}

/** Bounds are attributes before operator set 10; starts that are not known are read when it runs. */
function slice(foreign: Foreign): ReturnType<Reading> {
  const { emit } = foreign
  const starts = listed(foreign, 'starts', 1)
  const start =
    starts === 'unknown' || starts === null ? emit.cast(foreign.x(1), 'int64') : emit.g.integers(starts)
  const axes = listed(foreign, 'axes', 3)
  const steps = listed(foreign, 'steps', 4)
  if (axes === 'unknown' || steps === 'unknown') return 'its axes or steps are known only when it runs'
  const count = start.shape[0]
  const over = axes ?? (typeof count === 'number' ? Array.from({ length: count }, (_, i) => i) : null)
  if (over === null) return 'its axes are known only when it runs'
  return as(foreign, 'Slice', {}, [
    foreign.x(0),
    start,
    null,
    emit.g.integers(over),
    emit.g.integers(steps ?? over.map(() => 1)),
  ])
}
