/** The reader of exported models: what it keeps, and what it refuses, naming what is wrong. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import { readModel } from '../../../main/onnx/exported/read'
import {
  externalTensor,
  floatTensor,
  integerTensor,
  modelBytes,
  node,
  smallGraph,
  sourceOf,
  value,
  type GraphInit,
} from '../../support/onnx-model'
import { failureOf } from '../../models/scratch'

const runs = Number(process.env.PATCHBAY_FUZZ_RUNS ?? 600)
const read = (bytes: Uint8Array) => readModel(sourceOf(bytes), 'model.onnx')
const refusal = (graph: GraphInit, opsets?: Record<string, number>) =>
  failureOf(() => read(modelBytes(graph, opsets)))

/** A protobuf field with a length. */
function field(number: number, content: Uint8Array): Uint8Array {
  const head = [number * 8 + 2]
  let length = content.length
  for (; length >= 0x80; length = Math.floor(length / 0x80)) head.push((length % 0x80) + 0x80)
  return Uint8Array.from([...head, length, ...content])
}

describe('a model', () => {
  it('keeps nodes, small weights and shapes, and leaves large weights in the file', async () => {
    const bytes = modelBytes(smallGraph())
    const { graph, opsets } = await read(bytes)
    expect(graph.nodes.map(({ op }) => op)).toEqual(['MatMul', 'Add'])
    expect(graph.inputs).toEqual([{ name: 'x', type: 'float32', shape: ['batch', 20] }])
    expect(opsets.get('')).toBe(18)
    expect(graph.initialisers.get('b')?.storage.kind).toBe('inline')
    const w = graph.initialisers.get('w')
    if (w?.storage.kind !== 'external') throw new Error('the large weight was kept')
    const { file, offset, length } = w.storage
    expect([file, length]).toEqual(['model.onnx', 1600])
    expect(new DataView(bytes.buffer, bytes.byteOffset + offset).getFloat32(4, true)).toBeCloseTo(Math.sin(1))
  })

  it('is put into order where its nodes are not', async () => {
    const graph = smallGraph()
    const { graph: read2 } = await read(modelBytes({ ...graph, node: graph.node.toReversed() }))
    expect(read2.nodes.map(({ op }) => op)).toEqual(['MatMul', 'Add'])
  })

  it('knows what its subgraphs read from around them', async () => {
    const branch = (name: string): GraphInit => ({
      name,
      node: [node('Add', ['x', 'b'], [`${name}_out`])],
      output: [value(`${name}_out`, ['batch', 20])],
    })
    const { graph } = await read(
      modelBytes({
        ...smallGraph(),
        node: [
          node('If', ['flag'], ['y'], {
            then_branch: { graph: branch('then') },
            else_branch: { graph: branch('else') },
          }),
        ],
        input: [value('x', ['batch', 20]), value('flag', [], 9)],
      }),
    )
    expect(graph.nodes[0].captured.toSorted()).toEqual(['b', 'x'])
  })

  it('takes numbers from typed lists as it takes raw ones', async () => {
    const { graph } = await read(
      modelBytes({
        ...smallGraph(),
        initializer: [
          { name: 'w', dims: [20n, 20n], dataType: 1, floatData: new Array<number>(400).fill(0.5) },
          { name: 'b', dims: [20n], dataType: 1, floatData: Array.from({ length: 20 }, (_, i) => i) },
          { name: 'half', dims: [2n], dataType: 10, int32Data: [0x3c00, 0x4000] },
          { name: 'ids', dims: [2n], dataType: 7, int64Data: [-1n, 2n ** 40n] },
        ],
      }),
    )
    const bytes = (name: string): number[] => {
      const storage = graph.initialisers.get(name)?.storage
      return storage?.kind === 'inline' ? [...storage.bytes] : []
    }
    expect(bytes('half')).toEqual([0, 0x3c, 0, 0x40])
    expect(bytes('ids').slice(8)).toEqual([0, 0, 0, 0, 0, 1, 0, 0])
  })
})

describe('a graph is refused', () => {
  const with_ = (part: Partial<GraphInit>): GraphInit => ({ ...smallGraph(), ...part })

  it.each<[string, GraphInit, RegExp]>([
    [
      'that runs in a circle, naming a node of it',
      with_({
        node: [node('Add', ['x', 'c'], ['d']), node('Neg', ['d'], ['c']), node('Add', ['c', 'b'], ['y'])],
      }),
      /circle.*“[cd]”/,
    ],
    [
      'that makes a value twice',
      with_({ node: [node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'], {}, { name: 'second' })] }),
      /“y” is made twice.*“second” \(“Abs”\)/,
    ],
    ['that reads a value that nothing makes', with_({ node: [node('Neg', ['z'], ['y'])] }), /reads “z”/],
    [
      'whose output nothing computes',
      with_({ output: [value('nowhere', [1])] }),
      /nothing computes.*“nowhere”/,
    ],
    ['without outputs', with_({ output: [] }), /no outputs/],
    [
      'with an output listed twice',
      with_({ output: [value('y', [1]), value('y', [1])] }),
      /“y” is listed twice/,
    ],
    [
      'with two weights of one name',
      with_({ initializer: [floatTensor('w', [1], [1]), floatTensor('w', [1], [2])] }),
      /two weights are named “w”/,
    ],
    [
      'whose tensor has less data than its shape',
      with_({ initializer: [floatTensor('w', [20, 20], [1, 2, 3])] }),
      /“w” takes 1600 bytes, but the model holds 12/,
    ],
    [
      'whose tensor’s shape overflows',
      with_({ initializer: [floatTensor('w', [2 ** 31, 2 ** 31], [])] }),
      /“w” has more elements than can be counted/,
    ],
    [
      'with a negative dimension',
      with_({ initializer: [floatTensor('w', [-1], [])] }),
      /“w” has a dimension -1/,
    ],
  ])('%s', async (_, graph, message) => {
    const error = await refusal(graph)
    expect(error.code).toBe('file.malformed')
    expect(error.message).toMatch(message)
    expect(error.field).not.toBeUndefined()
  })

  it.each<[string, GraphInit, Record<string, number>, RegExp]>([
    ['for operator set 999', smallGraph(), { '': 999 }, /operator set 999.*“xw” \(“MatMul”\)/],
    [
      'for an unknown domain',
      with_({ node: [node('Magic', ['x'], ['y'], {}, { domain: 'evil.example', name: 'spell' })] }),
      { '': 18, 'evil.example': 1 },
      /“spell” \(“Magic”\) is of the unknown domain “evil.example”/,
    ],
    [
      'for an unknown domain inside of a subgraph',
      with_({
        node: [
          node('If', ['x'], ['y'], {
            then_branch: {
              graph: {
                node: [node('Magic', [], ['z'], {}, { domain: 'evil.example' })],
                output: [value('z', [1])],
              },
            },
          }),
        ],
      }),
      { '': 18, 'evil.example': 1 },
      /“z” \(“Magic”\)/,
    ],
    [
      'with texts as weights',
      with_({ initializer: [{ name: 'w', dims: [1n], dataType: 8, stringData: [new Uint8Array(3)] }] }),
      { '': 18 },
      /“w” has elements of a type that is not read/,
    ],
    [
      'with external data inside of a node',
      with_({
        node: [
          node('Constant', [], ['c'], { value: { tensor: externalTensor('c', [1], { location: 'x' }) } }),
          node('Add', ['x', 'c'], ['y']),
        ],
      }),
      { '': 18 },
      /“c” \(“Constant”\) has data outside of the model/,
    ],
    [
      'that makes a tensor of 2^40 elements',
      with_({
        node: [
          node('ConstantOfShape', ['size'], ['c'], {}, { name: 'bomb' }),
          node('Add', ['c', 'x'], ['y']),
        ],
        initializer: [integerTensor('size', [2], [2 ** 20, 2 ** 20])],
      }),
      { '': 18 },
      /“bomb” \(“ConstantOfShape”\) makes a tensor of 1099511627776 elements/,
    ],
    [
      'that makes one by arithmetic on constants',
      with_({
        node: [
          node('Mul', ['size', 'size'], ['product']),
          node('Expand', ['one', 'product'], ['c'], {}, { name: 'bomb' }),
          node('Add', ['c', 'x'], ['y']),
        ],
        initializer: [integerTensor('size', [1], [2 ** 20]), floatTensor('one', [1], [1])],
      }),
      { '': 18 },
      /“bomb” \(“Expand”\) makes a tensor of 1099511627776 elements/,
    ],
  ])('%s, naming the node', async (_, graph, opsets, message) => {
    const error = await refusal(graph, opsets)
    expect(error.code).toBe('model.unsupported')
    expect(error.message).toMatch(message)
  })

  it('whose node belongs to an operator set that is not imported', async () => {
    const error = await refusal(smallGraph(), { 'com.microsoft': 1 })
    expect(error).toMatchObject({ code: 'file.malformed', field: 'xw' })
  })
})

describe('a file is refused', () => {
  it('whose messages are nested 4,000 deep, within the depth that is decoded', async () => {
    // A graph in an attribute in a node in a graph in …
    let graph: Uint8Array = new Uint8Array(0)
    for (let depth = 0; depth < 1334; depth++) graph = field(1, field(5, field(6, graph)))
    const error = await failureOf(() => read(field(7, graph)))
    expect(error.code).toBe('file.malformed')
    expect(error.message).toMatch(/nested more than 100 deep/)
    expect(error.offset).toBeGreaterThan(0)
  })

  it('that is made of millions of empty parts', async () => {
    const empty = new Uint8Array(2 * 2_100_000).map((_, i) => (i % 2 === 0 ? 0x0a : 0))
    const error = await failureOf(() => read(field(7, empty)))
    expect(error.message).toMatch(/more than 2000000 parts/)
  })

  it('with a number of eleven bytes, a group, or a field of another type', async () => {
    const long = Uint8Array.from([8, ...new Array<number>(10).fill(0xff), 1])
    const group = Uint8Array.from([0x0b, 0x0c])
    const text = field(1, new Uint8Array(3))
    for (const [bytes, message] of [
      [long, /more than ten bytes/],
      [group, /wire type 3/],
      [Uint8Array.from([...modelBytes(smallGraph()), ...text]), /ir_version is written as another type/],
    ] as const)
      expect((await failureOf(() => read(bytes))).message).toMatch(message)
  })

  it('that has two graphs, or none', async () => {
    const bytes = modelBytes(smallGraph())
    const twice = Uint8Array.from([...bytes, ...field(7, new Uint8Array(0))])
    expect((await failureOf(() => read(twice))).message).toMatch(/two graphs/)
    expect((await failureOf(() => read(new Uint8Array(0)))).message).toMatch(/no graph/)
  })

  it('that is cut off at any byte, or opens as what is left', async () => {
    const bytes = modelBytes(smallGraph())
    for (let length = 0; length < bytes.length; length++) {
      const error = await failureOf(() => read(bytes.subarray(0, length)))
      expect([length, error.code]).toEqual([length, 'file.malformed'])
    }
  })

  it('or opens, whatever bytes are changed, cut out or put in, and is never read behind its end', async () => {
    const bytes = modelBytes(smallGraph())
    const change = fc.record({
      at: fc.nat(bytes.length - 1),
      remove: fc.constantFrom(0, 1, 1, 2, 8),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 8 }),
        fc.constantFrom(...[0, 1, 0x7f, 0x80, 0xff].map((byte) => new Uint8Array(8).fill(byte))),
      ),
    })
    let opened = 0
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        let damaged = Buffer.from(bytes)
        for (const { at, remove, insert } of changes)
          damaged = Buffer.concat([damaged.subarray(0, at), insert, damaged.subarray(at + remove)])
        try {
          await read(damaged)
          opened++
        } catch (error) {
          if (!(error instanceof PatchbayError)) throw error
          expect(error.code).toMatch(/^(file\.malformed|model\.unsupported)$/)
        }
      }),
      { numRuns: runs, seed: 31 },
    )
    expect(opened).toBeGreaterThan(0)
    expect(opened).toBeLessThan(runs)
  })
})
