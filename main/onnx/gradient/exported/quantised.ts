/** The reading of products with a matrix of four-bit or eight-bit codes, ONNX Runtime's `MatMulNBits`. */
import type { Value } from '../../graph'
import { nibbles } from '../../nibbles'
import { integer, type Foreign, type Reading } from './reading'

export const quantised: Readonly<Record<string, Reading>> = {
  // Y = A Wᵀ (+ bias), w = scale · (code − zero); in a row's last group, K may end before the group does.
  MatMulNBits: (foreign) => {
    const { emit, inputs } = foreign
    const bits = integer(foreign, 'bits', 4)
    const [columns, rows] = [integer(foreign, 'K', 0), integer(foreign, 'N', 0)]
    const group = integer(foreign, 'block_size', 32)
    if (bits !== 4 && bits !== 8) return `its codes have ${bits} bits`
    if (inputs[4]) return 'its columns are in another order'
    const matrix = dequantised(foreign, { rows, columns, group, bits })
    const product = emit.g.op('Gemm', [emit.rows(foreign.x(0), columns), matrix], { transB: 1 })
    const shaped = emit.reshape(product, foreign.y())
    return [inputs[5] ? emit.add(shaped, inputs[5]) : shaped]
  },
}

interface Layout {
  readonly rows: number
  readonly columns: number
  readonly group: number
  readonly bits: 4 | 8
}

/** [rows, columns], in the type of the scales. */
function dequantised(foreign: Foreign, layout: Layout): Value {
  const { emit } = foreign
  const { g } = emit
  const { rows, columns, group, bits } = layout
  const groups = Math.ceil(columns / group)
  const codes = numbers(foreign, g.reshape(foreign.x(1), [rows, groups, (group * bits) / 8]), bits)
  const scales = g.reshape(foreign.x(2), [rows, groups, 1])
  const steps = emit.sub(emit.cast(codes, scales.dtype), zeros(foreign, scales, { ...layout, groups }))
  const whole = g.reshape(emit.mul(steps, scales), [rows, groups * group])
  if (groups * group === columns) return whole
  return g.op('Slice', [whole, ...[0, columns, 1].map((bound) => g.integers([bound]))], {})
}

/** The code that stands for zero: a number, or one a group, [rows, groups, 1]. */
function zeros(foreign: Foreign, scales: Value, { rows, groups, bits }: Layout & { groups: number }): Value {
  const { emit, inputs } = foreign
  const { g } = emit
  const given = inputs[3] ?? null
  if (given === null) return emit.number(2 ** (bits - 1), scales)
  if (given.dtype !== 'uint8') return emit.cast(g.reshape(given, [rows, groups, 1]), scales.dtype)
  const bytes = Math.ceil((groups * bits) / 8)
  const codes = numbers(foreign, g.reshape(given, [rows, 1, bytes]), bits)
  const all = g.reshape(codes, [rows, (bytes * 8) / bits, 1])
  // With an odd number of groups, half of a row's last byte is not used.
  const used = g.op('Slice', [all, ...[0, groups, 1].map((bound) => g.integers([bound]))], {})
  return emit.cast(used, scales.dtype)
}

/** Codes [n, m, bytes] as float32 numbers. */
function numbers({ emit }: Foreign, codes: Value, bits: 4 | 8): Value {
  if (bits === 8) return emit.cast(codes, 'float32')
  const [rows, groups, bytes] = codes.shape.map(Number)
  return nibbles(emit.g, codes, [rows, groups, 2 * bytes])
}
