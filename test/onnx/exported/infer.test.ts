/** Shapes and small integers of exported graphs, inferred without running anything. */
import { describe, expect, it } from 'vitest'
import { inferValues } from '../../../main/onnx/exported/infer/infer'
import { difference, quotient, sum, times } from '../../../main/onnx/exported/infer/dims'
import { readModel } from '../../../main/onnx/exported/read'
import {
  floatTensor,
  integerTensor,
  modelBytes,
  node,
  sourceOf,
  value,
  type GraphInit,
} from '../../support/onnx-model'

/** Shapes of the values that nodes make, for x [b, s, 6]. */
async function shapes(nodes: GraphInit['node'], weights: GraphInit['initializer'] = [], opset = 18) {
  const last = nodes[nodes.length - 1].output?.[0] ?? ''
  const bytes = modelBytes(
    {
      node: nodes,
      initializer: weights,
      input: [value('x', ['b', 's', 6]), value('past', ['b', 2, 'p', 3])],
      output: [{ name: last }],
    },
    { '': opset },
  )
  const values = inferValues(await readModel(sourceOf(bytes), 'model.onnx'))
  return (name: string) => values.get(name)?.shape?.join()
}
const of = async (...args: Parameters<typeof shapes>) => {
  const last = args[0][args[0].length - 1].output?.[0] ?? ''
  return (await shapes(...args))(last)
}
const integers = (name: string, ...numbers: number[]) => integerTensor(name, [numbers.length], numbers)

describe('dimensions', () => {
  it('are added, subtracted and multiplied as symbols', () => {
    expect(sum('p', 's')).toBe('p+s')
    expect(sum('s', 'p')).toBe('p+s')
    expect(sum('s', 2)).toBe('s+2')
    expect(difference('p+s', 'p')).toBe('s')
    expect(difference('s', 'p')).toBeNull()
    expect(times('s', 'b')).toBe('b*s')
    expect(times('s', 1)).toBe('s')
    expect(times('s', -1)).toBeNull()
    expect(quotient(7, 2)).toBe(3)
    expect(quotient('s', 2)).toBeNull()
    expect(quotient(1, 0)).toBeNull()
  })
})

describe('shapes', () => {
  it('follow sizes through the arithmetic that exporters write', async () => {
    const shape = await shapes(
      [
        node('Shape', ['x'], ['size']),
        node('Gather', ['size', 'zero'], ['b']),
        node('Gather', ['size', 'one'], ['s']),
        node('Unsqueeze', ['b', 'axis'], ['b1']),
        node('Unsqueeze', ['s', 'axis'], ['s1']),
        node('Concat', ['b1', 's1', 'heads', 'rest'], ['target'], { axis: 0 }),
        node('Reshape', ['x', 'target'], ['split']),
        node('Transpose', ['split'], ['turned'], { perm: [0, 2, 1, 3] }),
        node('Concat', ['past', 'turned'], ['both'], { axis: 2 }),
        node('Shape', ['both'], ['both_size']),
        node('Equal', ['both_size', 'minus'], ['open']),
        node('Where', ['open', 'ones', 'both_size'], ['filled']),
        node('Unsqueeze', ['both', 'axis2'], ['five']),
        node('Expand', ['both', 'filled'], ['out']),
      ],
      [
        integerTensor('zero', [], [0]),
        integerTensor('one', [], [1]),
        integers('axis', 0),
        integers('axis2', 2),
        integers('heads', 2),
        integers('rest', -1),
        integers('minus', -1),
        integers('ones', 1, 1, 1, 1),
      ],
    )
    expect(shape('split')).toBe('b,s,2,3')
    expect(shape('both')).toBe('b,2,p+s,3')
    expect(shape('five')).toBe('b,2,1,p+s,3')
    expect(shape('out')).toBe('b,2,p+s,3')
  })

  it.each<[string, string, GraphInit['node'], GraphInit['initializer']]>([
    [
      'a slice',
      'b,s,2',
      [node('Slice', ['x', 'from', 'to', 'axis'], ['y'])],
      [integers('from', 1), integers('to', 3), integers('axis', 2)],
    ],
    [
      'a slice to the end',
      'b,s,6',
      [node('Slice', ['x', 'from', 'to', 'axis'], ['y'])],
      [integers('from', 0), integers('to', 2 ** 40), integers('axis', 1)],
    ],
    ['equal parts', 'b,s,3', [node('Split', ['x'], ['y', 'z'], { axis: -1 })], []],
    ['a mean', 'b,s,1', [node('ReduceMean', ['x', 'axis'], ['y'])], [integers('axis', -1)]],
    [
      'a mean without its axis',
      'b,s',
      [node('ReduceMean', ['x', 'axis'], ['y'], { keepdims: 0 })],
      [integers('axis', -1)],
    ],
    [
      'a product with a matrix',
      'b,s,4',
      [node('MatMul', ['x', 'w'], ['y'])],
      [floatTensor('w', [6, 4], new Array(24).fill(0))],
    ],
    ['a flattened value', 'b*s,6', [node('Reshape', ['x', 'to'], ['y'])], [integers('to', -1, 6)]],
    [
      'a reshape that keeps axes',
      'b,s,2,3',
      [node('Reshape', ['x', 'to'], ['y'])],
      [integers('to', 0, 0, 2, 3)],
    ],
    ['a repetition', 'b,s,12', [node('Tile', ['x', 'times'], ['y'])], [integers('times', 1, 1, 2)]],
    ['a transposition without an order', '6,s,b', [node('Transpose', ['x'], ['y'])], []],
    [
      'a squeeze',
      's,6',
      [node('Gather', ['x', 'first'], ['g']), node('Squeeze', ['g', 'axis'], ['y'])],
      [integers('first', 0), integers('axis', 0)],
    ],
    ['the largest', 'b,s,2', [node('TopK', ['x', 'k'], ['y', 'i'])], [integers('k', 2)]],
  ])('of %s are known', async (_, shape, nodes, weights) => {
    expect(await of(nodes, weights)).toBe(shape)
  })

  it('count what a range gives', async () => {
    const nodes = [
      node('Shape', ['x'], ['size'], { start: 1, end: 2 }),
      node('Squeeze', ['size'], ['s']),
      node('Range', ['zero', 's', 'one'], ['y']),
    ]
    const weights = [integerTensor('zero', [], [0]), integerTensor('one', [], [1])]
    expect(await of(nodes, weights)).toBe('s')
  })

  it('are left open where an operator is not known or does not fit', async () => {
    const unknownOp = await shapes([node('Det', ['x'], ['y']), node('Relu', ['y'], ['z'])])
    expect(unknownOp('y')).toBeUndefined()
    expect(unknownOp('z')).toBeUndefined()
    const misfit = [node('MatMul', ['x', 'w'], ['y'])]
    expect(await of(misfit, [floatTensor('w', [5, 4], new Array(20).fill(0))])).toBeUndefined()
  })
})
