/**
 * Types and shapes of what operators compute, for those that graphs of language models are made of. An operator without a
 * rule, or a rule that does not know enough, leaves its outputs unknown: nothing is refused here.
 * Semantics: https://onnx.ai/onnx/operators/
 */
import { elementTypeOf, type ElementType } from '../../element-types'
import type { Dim } from '../../graph'
import { matmul } from '../../shapes'
import { integerOf, tensorOf } from '../attributes'
import { broadcastShapes } from './dims'
import { axisIn, GivesUp, input, shapeOf, typed, type Application, type Typed } from './known'
import { layoutRules } from './layout-rules'
import { axesOf } from './operands'

export type ShapeRule = (application: Application) => readonly Typed[]

const same: ShapeRule = (a) => a.node.outputs.map(() => typed(input(a, 0).type, input(a, 0).shape))
const firstOnly: ShapeRule = (a) => [typed(input(a, 0).type, input(a, 0).shape)]

const elementwise =
  (type?: ElementType): ShapeRule =>
  (a) => [
    typed(
      type ?? input(a, 0).type,
      a.inputs.reduce<readonly Dim[]>((shape, _, i) => broadcastShapes(shape, shapeOf(a, i)), []),
    ),
  ]

const as =
  (type: ElementType): ShapeRule =>
  (a) => [typed(type, input(a, 0).shape)]

const reduce: ShapeRule = (a) => {
  const shape = shapeOf(a, 0)
  const axes = axesOf(a, 1)
  const keep = integerOf(a.node, 'keepdims') ?? 1
  if (axes !== null && axes.length === 0 && integerOf(a.node, 'noop_with_empty_axes') === 1)
    return [typed(input(a, 0).type, shape)]
  const gone = new Set(
    axes === null || axes.length === 0
      ? shape.map((_, i) => i)
      : axes.map((axis) => axisIn(axis, shape.length)),
  )
  const kept = shape.map((dim, i) => (gone.has(i) ? 1 : dim))
  return [typed(input(a, 0).type, keep === 1 ? kept : kept.filter((_, i) => !gone.has(i)))]
}

const argument: ShapeRule = (a) => {
  const shape = shapeOf(a, 0)
  const axis = axisIn(integerOf(a.node, 'axis') ?? 0, shape.length)
  const keep = integerOf(a.node, 'keepdims') ?? 1
  return [
    typed(
      'int64',
      shape.flatMap((dim, i) => (i === axis ? (keep === 1 ? [1] : []) : [dim])),
    ),
  ]
}

/** Attention operators of ORT and ONNX: of use here is Y, which is as wide as the queries; packed ones are wider. */
const attention: ShapeRule = (a) => {
  const { type, shape } = input(a, 0)
  if (a.inputs.at(1) !== null && a.inputs.length > 1) return [typed(type, shape)]
  const heads = integerOf(a.node, 'num_heads') ?? never()
  const packed = heads + 2 * (integerOf(a.node, 'kv_num_heads') ?? heads)
  const width = shape?.at(-1)
  if (shape === null || typeof width !== 'number') return [typed(type, null)]
  return [typed(type, [...shape.slice(0, -1), (width / packed) * heads])]
}

const constant: ShapeRule = ({ node }) => {
  const tensor = tensorOf(node, 'value')
  if (tensor) return [typed(elementTypeOf(tensor.dataType), tensor.dims.map(Number))]
  const [attribute] = node.attributes
  const types: Record<string, ElementType> = {
    value_float: 'float32',
    value_floats: 'float32',
    value_int: 'int64',
    value_ints: 'int64',
  }
  const length = Math.max(attribute.floats.length, attribute.ints.length)
  return [typed(types[attribute.name] ?? null, attribute.name.endsWith('s') ? [length] : [])]
}

const entries = (names: string, rule: ShapeRule): [string, ShapeRule][] =>
  names.split(' ').map((name) => [name, rule])

export const shapeRules: ReadonlyMap<string, ShapeRule> = new Map([
  ...entries(
    'Neg Abs Sqrt Exp Log Erf Tanh Sigmoid Relu Gelu Reciprocal Cos Sin Clip Softmax LogSoftmax Identity Floor Ceil Round ' +
      'Not Softplus Softsign HardSwish HardSigmoid Elu LeakyRelu Mish Swish Sign Trilu CumSum ScatterND ScatterElements FastGelu ' +
      'QuickGelu BiasGelu RotaryEmbedding',
    firstOnly,
  ),
  ...entries(
    'LayerNormalization RMSNormalization SimplifiedLayerNormalization Dropout SkipLayerNormalization ' +
      'SkipSimplifiedLayerNormalization',
    (a) => [typed(input(a, 0).type, input(a, 0).shape), ...skipOutputs(a)],
  ),
  ...entries('IsNaN IsInf', as('bool')),
  ...entries('Add Sub Mul Div Pow Mod Min Max Sum Mean PRelu BitwiseAnd BitwiseOr', elementwise()),
  ...entries('And Or Xor Equal Greater Less GreaterOrEqual LessOrEqual', elementwise('bool')),
  ['Where', (a) => [typed(input(a, 1).type, elementwise()(a)[0].shape)]],
  ['Cast', (a) => [typed(elementTypeOf(integerOf(a.node, 'to') ?? 0), input(a, 0).shape)]],
  ['CastLike', (a) => [typed(input(a, 1).type, input(a, 0).shape)]],
  ['MatMul', (a) => [typed(input(a, 0).type, matmulShape(shapeOf(a, 0), shapeOf(a, 1)))]],
  [
    'MatMulNBits',
    (a) => [typed(input(a, 0).type, [...shapeOf(a, 0).slice(0, -1), integerOf(a.node, 'N') ?? never()])],
  ],
  [
    'FusedMatMul',
    (a) => {
      const flip = (index: number, name: string): readonly Dim[] => {
        const shape = shapeOf(a, index)
        return integerOf(a.node, name) === 1 ? [...shape.slice(0, -2), ...shape.slice(-2).reverse()] : shape
      }
      return [typed(input(a, 0).type, matmulShape(flip(0, 'transA'), flip(1, 'transB')))]
    },
  ],
  [
    'Gemm',
    (a) => {
      const flip = (index: number, name: string): readonly Dim[] =>
        integerOf(a.node, name) === 1 ? shapeOf(a, index).toReversed() : shapeOf(a, index)
      return [typed(input(a, 0).type, matmulShape(flip(0, 'transA'), flip(1, 'transB')))]
    },
  ],
  ...entries('ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare', reduce),
  ...entries('ArgMax ArgMin', argument),
  ...entries('Attention MultiHeadAttention GroupQueryAttention', attention),
  ['Constant', constant],
  ...layoutRules,
])

/** The sum that fused skip norms give out as their fourth output. */
function skipOutputs(a: Application): Typed[] {
  if (!a.node.op.startsWith('Skip')) return a.node.op === 'Dropout' ? [same(a)[0]] : []
  return [typed(null, null), typed(null, null), typed(input(a, 0).type, input(a, 0).shape)]
}

const never = (): never => {
  throw new GivesUp()
}

/** As MatMul of graphs that Patchbay builds, also for vectors, and lenient where symbols meet. */
function matmulShape(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  if (a.length === 1) return matmulShape([1, ...a], b).toSpliced(-2, 1)
  if (b.length === 1) return matmulShape(a, [...b, 1]).slice(0, -1)
  const inner = a[a.length - 1]
  const agreed = typeof inner === 'number' ? b : [...b.slice(0, -2), inner, b[b.length - 1]]
  if (a.length > 2 && b.length > 2) {
    const batch = broadcastShapes(a.slice(0, -2), b.slice(0, -2))
    return [...batch, ...matmul(a.slice(-2), agreed.slice(-2))]
  }
  return matmul(a, agreed)
}
