/** Surgery and cuts on exported graphs: what is computed stays the same until a port is fed. */
import { Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { crossingsOf, cutGraph } from '../../../main/onnx/exported/cut'
import { inferValues } from '../../../main/onnx/exported/infer/infer'
import type { OnnxGraph, OnnxModel } from '../../../main/onnx/exported/model'
import { readModel } from '../../../main/onnx/exported/read'
import { GraphSurgery, type Site } from '../../../main/onnx/exported/surgery'
import { asItIs, inverse, viewAs } from '../../../main/onnx/exported/view'
import { writeModel } from '../../../main/onnx/exported/write'
import { floats, Session, type Feeds } from '../../../main/runtime/session'
import {
  floatTensor,
  integerTensor,
  modelBytes,
  node,
  sourceOf,
  value,
  type GraphInit,
} from '../../support/onnx-model'

const read = (graph: GraphInit, opset = 18): Promise<OnnxModel> =>
  readModel(sourceOf(modelBytes(graph, { '': opset })), 'model.onnx')

async function run(model: OnnxModel, graph: OnnxGraph, feeds: Feeds): Promise<Record<string, number[]>> {
  const session = await Session.load(writeModel(model, graph), graph.name, {
    provider: 'cpu',
    prepack: false,
  })
  const names = graph.outputs.map(({ name }) => name)
  const out = await session.run(feeds, names)
  await session.release()
  return Object.fromEntries(
    names.map((name) => [name, Array.from(out[name].data as Iterable<number>, Number)]),
  )
}

const siteAt = (name: string, rank: number, rest: Partial<Site> = {}): Site => ({
  value: name,
  type: 'float32',
  view: asItIs,
  rank,
  ...rest,
})
const scalar = (x: number, rank: number) => floats(Float32Array.of(x), new Array<number>(rank).fill(1))
const affine = (name: string) => ({ kind: 'affine', keep: `${name}/keep`, value: `${name}/value` }) as const
const feedsOf = (name: string, keep: number, add: number, rank: number): Feeds => ({
  [`${name}/keep`]: scalar(keep, rank),
  [`${name}/value`]: scalar(add, rank),
})

/** y = −x, read by a node and by both branches of an If. */
const branching: GraphInit = {
  node: [
    node('Neg', ['x'], ['n']),
    node('If', ['flag'], ['z'], {
      then_branch: { graph: { name: 't', node: [node('Abs', ['n'], ['t'])], output: [value('t', [2])] } },
      else_branch: {
        graph: { name: 'e', node: [node('Identity', ['n'], ['e'])], output: [value('e', [2])] },
      },
    }),
    node('Add', ['n', 'z'], ['y']),
  ],
  input: [value('x', [2]), value('flag', [], 9)],
  output: [value('y', [2]), value('n', [2])],
}

describe('surgery', () => {
  it('gives out any value, and changes it for every reader, subgraphs and outputs included', async () => {
    const model = await read(branching)
    const surgery = new GraphSurgery(model.graph, 18)
    surgery.port(siteAt('n', 1), [affine('p')])
    surgery.capture(siteAt('n', 1), 'capture')
    const flag = new Tensor('bool', [false], [])
    const x = floats(Float32Array.of(1, 2), [2])
    const graph = surgery.finish()
    const plain = await run(model, graph, { x, flag, ...feedsOf('p', 1, 0, 1) })
    expect(plain).toEqual({ y: [-2, -4], n: [-1, -2], capture: [-1, -2] })
    const changed = await run(model, graph, { x, flag, ...feedsOf('p', 0, 5, 1) })
    expect(changed).toEqual({ y: [10, 10], n: [5, 5], capture: [5, 5] })
  })

  it('lets several ports act in order, whoever put them there', async () => {
    const model = await read(branching)
    const surgery = new GraphSurgery(model.graph, 18)
    surgery.port(siteAt('n', 1), [affine('a'), affine('b')])
    surgery.port(siteAt('n', 1), [affine('c')])
    const graph = surgery.finish()
    const { n } = await run(model, graph, {
      x: floats(Float32Array.of(1, 2), [2]),
      flag: new Tensor('bool', [true], []),
      ...feedsOf('a', 1, 1, 1),
      ...feedsOf('b', 10, 0, 1),
      ...feedsOf('c', 1, 0.5, 1),
    })
    expect(n).toEqual([0.5, -9.5])
  })

  it.each([11, 13, 18])('sees values in other types and layouts, in operator set %i', async (opset) => {
    const model = await read(
      {
        node: [
          node('Shape', ['x'], ['size']),
          node('Transpose', ['x'], ['t'], { perm: [0, 2, 1] }),
          node('Cast', ['size'], ['as_float'], { to: 1 }),
        ],
        input: [value('x', [1, 2, 3])],
        output: [value('t', [1, 3, 2]), value('as_float', [3])],
      },
      opset,
    )
    const surgery = new GraphSurgery(model.graph, opset)
    const turned = siteAt('t', 3, { view: { ...asItIs, perm: [0, 2, 1] } })
    surgery.port(turned, [{ kind: 'direction', direction: 'd', amount: 'a', target: 'g' }])
    surgery.capture(turned, 'turned')
    const lifted = siteAt('size', 2, { type: 'int64', view: { ...asItIs, lift: true } })
    surgery.port(lifted, [affine('s')])
    const x = Float32Array.of(1, 2, 3, 4, 5, 6)
    const out = await run(model, surgery.finish(), {
      x: floats(x, [1, 2, 3]),
      d: floats(Float32Array.of(0, 1, 0), [1, 1, 3]),
      a: scalar(1, 3),
      g: scalar(0, 3),
      ...feedsOf('s', 2, 1, 2),
    })
    expect(out).toEqual({ t: [1, 4, 0, 0, 3, 6], as_float: [3, 5, 7], turned: [1, 0, 3, 4, 0, 6] })
  })

  it('refuses ports at what no node makes, and names that are taken', async () => {
    const { graph } = await read(branching)
    expect(() => new GraphSurgery(graph, 18).port(siteAt('x', 1), [])).toThrow(/no ports at x/)
    expect(() => new GraphSurgery(graph, 18).capture(siteAt('n', 1), 'z')).toThrow(/named z already/)
  })
})

describe('views', () => {
  it('find the axes of a hook point, and undo themselves', () => {
    const wanted = ['b', 's', 4, 8]
    expect(viewAs(['b', 's', 4, 8], wanted)).toEqual(asItIs)
    expect(viewAs(['b', 4, 's', 8], wanted)?.perm).toEqual([0, 2, 1, 3])
    expect(viewAs(['b', 4, 8, 's'], wanted)?.perm).toEqual([0, 3, 1, 2])
    expect(viewAs(['b', 's', 32], wanted)?.shape).toEqual({ to: [0, 0, 4, 8], back: [0, 0, -1] })
    expect(viewAs(['b', 's', 31], wanted)).toBeNull()
    expect(viewAs(['b', 's', 8, 8], ['b', 's', 8, 8])).toEqual(asItIs)
    expect(viewAs(['b', 8, 's', 8], ['b', 's', 8, 8])?.perm).toEqual([0, 2, 1, 3])
    expect(inverse([0, 3, 1, 2])).toEqual([0, 2, 3, 1])
  })
})

describe('cutting', () => {
  /** Two blocks x ← x + tanh(x·w) · c, with a size and a side value that later parts need. */
  const chain: GraphInit = {
    node: [
      node('Mul', ['in', 'two'], ['r0']),
      node('Shape', ['r0'], ['size']),
      node('Neg', ['in'], ['side']),
      node('Constant', [], ['c'], { value: { tensor: floatTensor('', [1], [3]) } }),
      node('Sqrt', ['c'], ['root']),
      node('MatMul', ['r0', 'w'], ['p0']),
      node('Mul', ['p0', 'root'], ['q0']),
      node('Add', ['r0', 'q0'], ['r1']),
      node('Reshape', ['p0', 'size'], ['p1']),
      node('Mul', ['p1', 'root'], ['q1']),
      node('Add', ['r1', 'q1'], ['r2']),
      node('Mul', ['r2', 'root'], ['s']),
      node('Add', ['s', 'side'], ['y']),
    ],
    initializer: [
      floatTensor('w', [2, 2], [1, 2, 3, 4]),
      floatTensor('two', [1], [2]),
      integerTensor('unused', [1], [1]),
    ],
    input: [value('in', ['n', 2])],
    output: [value('y', ['n', 2]), value('p0', ['n', 2])],
  }

  it('gives parts that compute together what the whole computes', async () => {
    const model = await read(chain)
    const parts = cutGraph(model.graph, inferValues(model), ['r0', 'r1', 'r2'])
    expect(parts.map(({ from, to }) => [from, to])).toEqual([
      [null, 'r0'],
      ['r0', 'r1'],
      ['r1', 'r2'],
      ['r2', null],
    ])
    const feeds: Feeds = { in: floats(Float32Array.of(1, 2, 3, 4), [2, 2]) }
    const whole = await run(model, model.graph, feeds)
    const values: Record<string, number[]> = {}
    for (const { graph } of parts) {
      const session = await Session.load(writeModel(model, graph), graph.name, {
        provider: 'cpu',
        prepack: false,
      })
      const own = Object.fromEntries(graph.inputs.map(({ name }) => [name, feeds[name]]))
      const out = await session.run(
        own,
        graph.outputs.map(({ name }) => name),
      )
      for (const [name, tensor] of Object.entries(out)) {
        feeds[name] = tensor
        values[name] = Array.from(tensor.data as Iterable<number>, Number)
      }
      await session.release()
    }
    expect(values).toMatchObject(whole)
  })

  it('repeats constants, keeps sizes in the part of what they are the size of, and says what passes by a cut', async () => {
    const model = await read(chain)
    const parts = cutGraph(model.graph, inferValues(model), ['r0', 'r1', 'r2'])
    const ops = parts.map(({ graph }) => graph.nodes.map(({ op }) => op))
    expect(ops).toEqual([
      ['Mul', 'Shape', 'Neg'],
      ['Constant', 'Sqrt', 'MatMul', 'Mul', 'Add', 'Reshape', 'Mul'],
      ['Add'],
      ['Constant', 'Sqrt', 'Mul', 'Add'],
    ])
    expect([...parts[3].carried]).toEqual([['side', 0]])
    expect(crossingsOf(parts)).toEqual([{ value: 'q1', made: 1, read: 2 }])
    expect(parts.map(({ graph }) => [...graph.initialisers.keys()])).toEqual([['two'], ['w'], [], []])
  })

  it('refuses values that are not made one after the other', async () => {
    const model = await read(chain)
    const known = inferValues(model)
    expect(() => cutGraph(model.graph, known, ['r1', 'r0'])).toThrow(/can not be cut at r1/)
    expect(() => cutGraph(model.graph, known, ['in'])).toThrow(/can not be cut at in/)
  })
})
