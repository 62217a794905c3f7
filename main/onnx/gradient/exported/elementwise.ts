/** Readings of operators that compute element by element: many of them are short for others. */
import type { Value } from '../../graph'
import { isFloat } from '../../element-types'
import { as, float, plain, text, type Foreign, type Reading } from './reading'

/** Computed anew from the first input. */
const written =
  (make: (foreign: Foreign, x: Value) => Value): Reading =>
  (foreign) => [make(foreign, foreign.x(0))]

const sigmoid = ({ emit }: Foreign, x: Value): Value => emit.g.op('Sigmoid', [x], {})
const softplus = ({ emit }: Foreign, x: Value): Value => emit.op('Log', emit.plus(emit.op('Exp', x), 1))
const magnitude = ({ emit }: Foreign, x: Value): Value => emit.g.op('Max', [x, emit.op('Neg', x)], {})
const below = ({ emit }: Foreign, x: Value): Value => emit.g.op('Min', [x, emit.number(0, x)], {})
const above = ({ emit }: Foreign, x: Value): Value => emit.g.op('Relu', [x], {})
const within = ({ emit }: Foreign, x: Value, low: number, high: number): Value =>
  emit.g.op('Clip', [x, emit.number(low, x), emit.number(high, x)], {})
/** x · σ(α x) */
const swish = (foreign: Foreign, x: Value, alpha: number): Value =>
  foreign.emit.mul(x, sigmoid(foreign, foreign.emit.times(x, alpha)))
/** ONNX Runtime's activations add a bias, if there is one. */
const biased = ({ emit, inputs }: Foreign, x: Value): Value => (inputs[1] ? emit.add(x, inputs[1]) : x)
const gelu = ({ emit }: Foreign, x: Value, approximate: 'none' | 'tanh'): Value =>
  emit.g.op('Gelu', [x], { approximate })

export const elementwise: Readonly<Record<string, Reading>> = {
  Add: plain('Add'),
  Sub: plain('Sub'),
  Mul: plain('Mul'),
  Div: plain('Div'),
  Max: plain('Max'),
  Min: plain('Min'),
  Neg: plain('Neg'),
  Sqrt: plain('Sqrt'),
  Exp: plain('Exp'),
  Log: plain('Log'),
  Sin: plain('Sin'),
  Cos: plain('Cos'),
  Erf: plain('Erf'),
  Tanh: plain('Tanh'),
  Sigmoid: plain('Sigmoid'),
  Relu: plain('Relu'),
  Where: plain('Where'),
  Identity: plain('Identity'),
  Clip: (foreign) => {
    if (foreign.inputs.length > 1) return as(foreign, 'Clip', {})
    // Before operator set 11, bounds are attributes; the rule looks at what was clipped only.
    return as(foreign, 'Clip', {}, [foreign.x(0)])
  },
  // The square is by far the most common power.
  Pow: (foreign) => {
    const [exponent, ...more] = foreign.numbers(1) ?? []
    const x = foreign.x(0)
    return exponent === 2 && more.length === 0 ? as(foreign, 'Mul', {}, [x, x]) : as(foreign, 'Pow', {})
  },
  Reciprocal: (foreign) => as(foreign, 'Div', {}, [foreign.emit.number(1, foreign.y()), foreign.x(0)]),
  Cast: (foreign) => as(foreign, 'Cast', { to: foreign.y().dtype }),
  CastLike: (foreign) => as(foreign, 'Cast', { to: foreign.y().dtype }, [foreign.x(0)]),
  Sum: (foreign) => [foreign.inputs.map((_, i) => foreign.x(i)).reduce((a, b) => foreign.emit.add(a, b))],
  // Without training, what is dropped out is nothing.
  Dropout: (foreign) => {
    const training = foreign.inputs[2] ?? null
    if (training !== null && foreign.numbers(2)?.[0] !== 0) return 'it may be in training mode'
    return { ...as(foreign, 'Identity', {}, [foreign.x(0)]), outputs: [foreign.y()] }
  },
  Gelu: (foreign) =>
    as(foreign, 'Gelu', { approximate: text(foreign, 'approximate', 'none') === 'tanh' ? 'tanh' : 'none' }),
  FastGelu: written((foreign, x) => gelu(foreign, biased(foreign, x), 'tanh')),
  BiasGelu: written((foreign, x) => gelu(foreign, biased(foreign, x), 'none')),
  QuickGelu: written((foreign, x) => swish(foreign, x, float(foreign, 'alpha', 1.702))),
  Swish: written((foreign, x) => swish(foreign, x, float(foreign, 'alpha', 1))),
  Abs: written(magnitude),
  Softplus: written(softplus),
  Softsign: written((foreign, x) => foreign.emit.div(x, foreign.emit.plus(magnitude(foreign, x), 1))),
  Mish: written((foreign, x) => foreign.emit.mul(x, foreign.emit.op('Tanh', softplus(foreign, x)))),
  LeakyRelu: written((foreign, x) =>
    foreign.emit.add(above(foreign, x), foreign.emit.times(below(foreign, x), float(foreign, 'alpha', 0.01))),
  ),
  Elu: written((foreign, x) => {
    const { emit } = foreign
    const less = emit.plus(emit.op('Exp', below(foreign, x)), -1)
    return emit.add(above(foreign, x), emit.times(less, float(foreign, 'alpha', 1)))
  }),
  HardSigmoid: written((foreign, x) => {
    const line = foreign.emit.plus(
      foreign.emit.times(x, float(foreign, 'alpha', 0.2)),
      float(foreign, 'beta', 0.5),
    )
    return within(foreign, line, 0, 1)
  }),
  HardSwish: written((foreign, x) => {
    const line = foreign.emit.plus(foreign.emit.times(x, 1 / 6), 0.5)
    return foreign.emit.mul(x, within(foreign, line, 0, 1))
  }),
  Pad: (foreign) => {
    if (text(foreign, 'mode', 'constant') !== 'constant') return 'it repeats what it pads'
    if (foreign.inputs.length < 2 || foreign.inputs[3]) return 'its counts are not an input for all axes'
    return as(foreign, 'Pad', {}, [foreign.x(0), foreign.x(1)])
  },
}

/** Operators whose result is the same after a small change of what they read: nothing passes through them. */
export const steps: ReadonlySet<string> = new Set(
  (
    'Shape Size Equal Greater Less GreaterOrEqual LessOrEqual And Or Not Xor IsNaN IsInf ArgMax ArgMin NonZero Floor Ceil ' +
    'Round Sign Constant ConstantOfShape Range EyeLike OneHot RandomNormalLike RandomUniformLike BitShift BitwiseAnd ' +
    'BitwiseOr BitwiseNot BitwiseXor'
  ).split(' '),
)

/**
 * Operators that round what passes through them to codes. Their results change in steps too, but a gradient of zero would
 * be no answer: they have no rule and are named.
 */
export const quantising: ReadonlySet<string> = new Set(
  'QuantizeLinear DynamicQuantizeLinear DynamicQuantizeMatMul MatMulInteger QLinearMatMul MatMulIntegerToFloat'.split(
    ' ',
  ),
)

/** Whether small changes pass through a value of this type; of an unknown type they may. */
export const passes = (type: Parameters<typeof isFloat>[0]): boolean => type === null || isFloat(type)
