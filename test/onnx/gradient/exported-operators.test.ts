/** Operators that only exported graphs have, each alone, against differences; and what is refused, by name. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readModel } from '../../../main/onnx/exported/read'
import { asItIs } from '../../../main/onnx/exported/view'
import { differentiateExported, readOperators } from '../../../main/onnx/gradient/exported'
import { steps } from '../../../main/onnx/gradient/exported/elementwise'
import { exportFile, exportNames } from '../../support/exported-model'
import {
  floatTensor,
  integerTensor,
  modelBytes,
  node,
  sourceOf,
  value,
  type GraphInit,
} from '../../support/onnx-model'
import { checkNode, runGraph } from './exported-support'
import { expectClose, integers, numbers, tensor, type Fed } from './support'

/** The domain of ONNX Runtime's own operators. */
const ms = 'com.microsoft'
const x: Fed = { shape: [3, 4], data: [-5, -2, 0.4, 2, 5, ...numbers([7]).data], dims: ['a', 'b'] }
const cube: Fed = { ...numbers([2, 3, 4]), dims: ['batch', 'pos', 4] }

describe('operators of one number that are short for others', () => {
  it.each([
    ['Reciprocal', '', {}],
    ['Abs', '', {}],
    ['Softplus', '', {}],
    ['Softsign', '', {}],
    ['Mish', '', {}],
    ['LeakyRelu', '', { alpha: { float: 0.2 } }],
    ['Elu', '', { alpha: { float: 1.5 } }],
    ['HardSigmoid', '', { alpha: { float: 0.17 } }],
    ['HardSwish', '', {}],
    ['LogSoftmax', '', { axis: 1 }],
    ['QuickGelu', ms, { alpha: { float: 1.702 } }],
    ['FastGelu', ms, {}],
    ['Gelu', ms, {}],
    ['Identity', '', {}],
    ['Dropout', '', {}],
    ['Flatten', '', {}],
    ['ReduceL1', '', { keepdims: 0 }],
    ['ReduceL2', '', {}],
    ['ReduceSumSquare', '', {}],
    ['ReduceMin', '', {}],
    ['ReduceMean', '', {}],
    ['Sum', '', {}],
    ['Transpose', '', {}],
  ] as const)('%s', async (op, domain, attributes) => {
    await checkNode({ op, domain, attributes, inputs: [x] })
  })

  it('Gelu of ONNX, with both approximations', async () => {
    for (const approximate of ['none', 'tanh'])
      await checkNode({ op: 'Gelu', opset: 20, attributes: { approximate }, inputs: [x] })
  })

  it('BiasGelu and FastGelu with a bias', async () => {
    for (const op of ['BiasGelu', 'FastGelu'])
      await checkNode({ op, domain: ms, inputs: [cube, numbers([4], 2)] })
  })

  it('powers by a stored exponent', async () => {
    for (const exponent of [2, 3])
      await checkNode({
        op: 'Pow',
        inputs: [x, null],
        names: ['x0', 'e'],
        stored: [floatTensor('e', [], [exponent])],
      })
  })
})

describe('shapes of which nothing but the number of axes is known', () => {
  it.each(['Add', 'Mul', 'Sub', 'Div', 'Sum'])('%s sums to what it was broadcast from', async (op) => {
    const away = (fed: Fed): Fed => ({ ...fed, data: fed.data.map((value) => value + 3.1) })
    for (const shape of [[1, 3, 1], [2, 3, 4], [3, 1], [4], []])
      await checkNode({
        op,
        inputs: [
          { ...cube, dims: ['p', 'q', 'r'] },
          { ...away(numbers(shape, 2)), dims: shape.map((_, i) => `s${i}`) },
        ],
      })
  })

  it('MatMul sums over batches of either side', async () => {
    const open = (fed: Fed, name: string): Fed => ({ ...fed, dims: fed.shape.map((_, i) => `${name}${i}`) })
    for (const [a, b] of [
      [
        [2, 3, 5],
        [5, 4],
      ],
      [
        [2, 1, 3, 5],
        [2, 5, 4],
      ],
      [
        [3, 5],
        [2, 5, 4],
      ],
    ])
      await checkNode({ op: 'MatMul', inputs: [open(numbers(a), 'a'), open(numbers(b, 2), 'b')] })
  })

  it('Slice from starts that are fed', async () => {
    for (const start of [1, -2, -9])
      await checkNode({
        op: 'Slice',
        inputs: [{ ...cube, dims: ['p', 'q', 'r'] }, { ...integers([1], [start]), dims: [1] }, null, null],
        names: ['x0', 'x1', 'end', 'axis'],
        stored: [integerTensor('end', [1], [100]), integerTensor('axis', [1], [1])],
      })
  })

  it('Softmax, LayerNormalization and means over open axes', async () => {
    const open: Fed = { ...cube, dims: ['p', 'q', 'r'] }
    await checkNode({ op: 'Softmax', inputs: [open] })
    await checkNode({
      op: 'LayerNormalization',
      inputs: [open, { ...numbers([4], 2), dims: ['w'] }, { ...numbers([4], 3), dims: ['w'] }],
    })
    await checkNode({
      op: 'SimplifiedLayerNormalization',
      inputs: [open, { ...numbers([4], 2), dims: ['w'] }],
    })
  })
})

describe('older operator sets', () => {
  const old = 12
  it.each([
    ['ReduceMean', { axes: [1], keepdims: 0 }],
    ['ReduceSum', { axes: [0, 2] }],
    ['Unsqueeze', { axes: [0] }],
    ['Softmax', { axis: 2 }],
  ] as const)('%s has its axes as an attribute', async (op, attributes) => {
    await checkNode({ op, opset: old, attributes, inputs: [cube] })
  })

  it('says which set is needed where one is too old', async () => {
    const open = { ...cube, dims: ['p', 'q', 'r'] }
    const other: Fed = { ...numbers([1, 3, 4], 2), dims: ['s', 'q', 'r'] }
    await expect(checkNode({ op: 'Mul', opset: old, inputs: [open, other] })).rejects.toThrow(
      /operator set 12.*ReduceSum/,
    )
  })
})

describe('half precision', () => {
  it('is kept inside, and cast at the ends', async () => {
    const graph: GraphInit = {
      input: [value('x', ['n', 4])],
      output: [value('y', ['n', 4])],
      node: [
        node('Cast', ['x'], ['h'], { to: 10 }),
        node('Softmax', ['h'], ['s']),
        node('Erf', ['s'], ['e']),
        node('Cast', ['e'], ['y'], { to: 1 }),
      ],
    }
    const bytes = modelBytes(graph)
    const model = await readModel(sourceOf(bytes), 'model.onnx')
    const site = (name: string, type: 'float16' | 'float32') => ({ value: name, view: asItIs, type, rank: 2 })
    const written = differentiateExported(
      model,
      [{ site: site('y', 'float32'), input: 'dy' }],
      [{ site: site('h', 'float16'), output: 'dh' }],
    )
    const [x0, dy] = [numbers([2, 4]), numbers([2, 4], 2)]
    const found = await runGraph(model, written, { x: tensor(x0), dy: tensor(dy) })
    // In float64: e = erf(s), s = softmax(x)
    const exact = [0, 1].flatMap((row) => {
      const [xs, ds] = [x0, dy].map(({ data }) => data.slice(4 * row, 4 * row + 4))
      const exps = xs.map(Math.exp)
      const total = exps.reduce((a, b) => a + b)
      const s = exps.map((e) => e / total)
      const ds1 = s.map((p, i) => ds[i] * (2 / Math.sqrt(Math.PI)) * Math.exp(-p * p))
      const mean = s.reduce((sum, p, i) => sum + p * ds1[i], 0)
      return s.map((p, i) => p * (ds1[i] - mean))
    })
    // float16 has eleven bits.
    expectClose('dh', found.dh.data, exact, 5e-3)
  })
})

describe('what can not be differentiated', () => {
  const refusal = async (graph: GraphInit, opset = 18): Promise<void> => {
    const model = await readModel(
      sourceOf(modelBytes(graph, { '': opset, 'com.microsoft': 1 })),
      'model.onnx',
    )
    const site = (name: string) => ({ value: name, view: asItIs, type: 'float32', rank: 1 }) as const
    differentiateExported(model, [{ site: site('y'), input: 'dy' }], [{ site: site('x'), output: 'dx' }])
  }
  const boundary = { input: [value('x', ['n'])], output: [value('y', ['n'])] }

  it('is named with its node, its value and all others, before anything runs', async () => {
    const graph = {
      ...boundary,
      node: [
        node('Det', ['x'], ['d'], {}, { name: 'det' }),
        node('CumSum', ['d', 'zero'], ['y'], {}, { name: 'sums' }),
      ],
      initializer: [integerTensor('zero', [], [0])],
    }
    await expect(refusal(graph)).rejects.toThrow(
      /node “det” \(“Det”\), which computes “d”, has no rule .*“CumSum”/,
    )
  })

  it('is a branch that reads a value on the way', async () => {
    const branch = (op: string): GraphInit => ({
      name: op,
      node: [node(op, ['x'], ['b'])],
      output: [value('b', ['n'])],
    })
    const graph: GraphInit = {
      input: [...boundary.input, value('flag', [], 9)],
      output: boundary.output,
      node: [
        node('If', ['flag'], ['y'], {
          then_branch: { graph: branch('Neg') },
          else_branch: { graph: branch('Abs') },
        }),
      ],
    }
    await expect(refusal(graph)).rejects.toThrow(/“If”.*has no rule/)
  })

  it('is an operator that rounds to codes, whose gradient would be zero', async () => {
    const graph: GraphInit = {
      ...boundary,
      node: [
        node('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']),
        node('DequantizeLinear', ['q', 's', 'z'], ['y']),
      ],
    }
    await expect(refusal(graph)).rejects.toThrow(/“DynamicQuantizeLinear”.*has no rule/)
  })

  it('is not what lies beside the way', async () => {
    const graph: GraphInit = {
      input: [value('x', ['n']), value('other', ['n'])],
      output: boundary.output,
      node: [node('CumSum', ['other', 'zero'], ['c']), node('Mul', ['x', 'c'], ['y'])],
      initializer: [integerTensor('zero', [], [0])],
    }
    await expect(refusal(graph)).resolves.toBeUndefined()
  })

  it('is nothing that the exports of three exporters are made of', () => {
    const inExports = exportNames.flatMap((name) => {
      const file = path.join(path.dirname(exportFile(name)), 'export.json')
      const { ops } = JSON.parse(readFileSync(file, 'utf8')) as { ops: Record<string, number> }
      return Object.keys(ops)
    })
    const without = inExports.filter((op) => !readOperators.includes(op) && !steps.has(op))
    expect(without).toEqual([])
    expect(readOperators).not.toContain('Loop')
  })
})
