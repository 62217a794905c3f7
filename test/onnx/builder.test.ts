import { fromBinary } from '@bufbuild/protobuf'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../main/onnx/builder'
import { product, type Value } from '../../main/onnx/graph'
import { ModelProtoSchema, TensorProto_DataLocation } from '../../main/onnx/proto/onnx_pb'
import { serialise } from '../../main/onnx/serialise'

const run = async (g: GraphBuilder, feeds: Record<string, Tensor>) => {
  const session = await InferenceSession.create(serialise(g.finish()), { logSeverityLevel: 3 })
  const out = await session.run(feeds)
  await session.release()
  return out
}
const floats = (shape: number[]): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i - 3),
    shape,
  )

describe('the graph builder', () => {
  it('writes a graph that ONNX Runtime computes', async () => {
    const g = new GraphBuilder('affine')
    const x = g.input('x', 'float32', ['n', 2])
    const w = g.inline('w', 'float32', [3, 2], Float32Array.of(1, 0, 0, 1, 1, 1))
    g.output(g.op('Add', [g.op('Gemm', [x, w], { transB: 1 }), g.scalar(0.5)], {}), 'y')
    const { y } = await run(g, { x: new Tensor('float32', Float32Array.of(1, 2, 3, 4), [2, 2]) })
    expect(y.dims).toEqual([2, 3])
    expect(Array.from(y.data as Float32Array)).toEqual([1.5, 2.5, 3.5, 3.5, 4.5, 7.5])
  })

  it('reshapes to several symbolic dimensions by reading them from an input', async () => {
    const g = new GraphBuilder('fold')
    const x = g.input('x', 'float32', ['batch', 'pos', 4])
    const flat = g.reshape(x, ['batch*pos', 4])
    expect(flat.shape).toEqual(['batch*pos', 4])
    const heads = g.reshape(flat, ['batch', 'pos', 2, 2])
    expect(heads.shape).toEqual(['batch', 'pos', 2, 2])
    g.output(heads, 'y')
    const { y } = await run(g, { x: floats([3, 5, 4]) })
    expect(y.dims).toEqual([3, 5, 2, 2])
  })

  it('gives one value out under two names', async () => {
    const g = new GraphBuilder('twice')
    const y = g.op('Neg', [g.input('x', 'float32', [2])], {})
    g.output(y, 'first')
    g.output(y, 'second')
    const { first, second } = await run(g, { x: floats([2]) })
    expect(Array.from(first.data as Float32Array)).toEqual([3, 2])
    expect(Array.from(second.data as Float32Array)).toEqual([3, 2])
  })

  it('stores equal constants once', () => {
    const g = new GraphBuilder('constants')
    expect(g.scalar(2)).toBe(g.scalar(2))
    expect(g.integers([1, 2])).toBe(g.integers([1, 2]))
    expect(g.integers([1, 2])).not.toBe(g.integers([12]))
    expect(g.finish().initialisers).toHaveLength(3)
  })

  it('points external initialisers into a file', () => {
    const g = new GraphBuilder('external')
    const w = g.external('w', 'float32', [4], { file: 'model.safetensors', offset: 96, length: 16 })
    g.output(g.op('Neg', [w], {}), 'y')
    const tensor = fromBinary(ModelProtoSchema, serialise(g.finish())).graph?.initializer[0]
    expect(tensor?.dataLocation).toBe(TensorProto_DataLocation.EXTERNAL)
    expect(tensor?.externalData.map(({ key, value }) => `${key}=${value}`)).toEqual([
      'location=model.safetensors',
      'offset=96',
      'length=16',
    ])
  })

  it('writes whole-numbered floats as floats and integers as integers', () => {
    const g = new GraphBuilder('attributes')
    const x = g.input('x', 'float32', ['n', 4])
    g.output(g.op('RMSNormalization', [x, g.ones(4)], { axis: -1, epsilon: 1 }), 'y')
    const attributes = fromBinary(ModelProtoSchema, serialise(g.finish())).graph?.node[0].attribute ?? []
    expect(attributes.map(({ name, f, i }) => [name, f, i])).toEqual([
      ['axis', 0, -1n],
      ['epsilon', 1, 0n],
    ])
  })

  it('refuses two values of one name', () => {
    const g = new GraphBuilder('names')
    g.input('x', 'float32', [1])
    expect(() => g.input('x', 'float32', [1])).toThrow(/two values named x/)
  })
})

describe('shape inference', () => {
  const value = (g: GraphBuilder, name: string, ...shape: (number | string)[]): Value =>
    g.input(name, 'float32', shape)

  it('broadcasts symbols, ones and open dimensions', () => {
    const g = new GraphBuilder('broadcast')
    const x = value(g, 'x', 'batch', 'pos', 8)
    expect(g.op('Add', [x, value(g, 'open', '?b', '?p', '?d')], {}).shape).toEqual(['batch', 'pos', 8])
    expect(g.op('Mul', [x, value(g, 'vector', 8)], {}).shape).toEqual(['batch', 'pos', 8])
    expect(g.op('Mul', [x, value(g, 'ones', 'batch', 1, 1)], {}).shape).toEqual(['batch', 'pos', 8])
  })

  it('names the operator and the shapes where they do not fit', () => {
    const g = new GraphBuilder('misfit')
    expect(() => g.op('MatMul', [value(g, 'a', 'n', 3), value(g, 'b', 4, 5)], {})).toThrow(
      /MatMul of \[n, 3\], \[4, 5\]/,
    )
    expect(() => g.op('Add', [value(g, 'c', 3), value(g, 'd', 4)], {})).toThrow(/Add of/)
  })

  it('follows attention with a past', () => {
    const g = new GraphBuilder('attention')
    const q = value(g, 'q', 'batch', 'pos', 32)
    const [k, v] = ['k', 'v'].map((name) => value(g, name, 'batch', 'pos', 16))
    const [pastK, pastV] = ['pk', 'pv'].map((name) => value(g, name, 'batch', 2, 'past', 8))
    const bias = value(g, 'bias', '?b', '?h', 'pos', 'past+pos')
    const out = g.ops(
      'Attention',
      [q, k, v, bias, pastK, pastV],
      { q_num_heads: 4, kv_num_heads: 2, scale: 1, qk_matmul_output_mode: 3 },
      ['y', 'presentK', 'presentV', 'pattern'],
    )
    expect(out.map(({ shape }) => shape)).toEqual([
      ['batch', 'pos', 32],
      ['batch', 2, 'past+pos', 8],
      ['batch', 2, 'past+pos', 8],
      ['batch', 4, 'pos', 'past+pos'],
    ])
  })

  it('multiplies numbers and sorts symbols in a product', () => {
    expect(product([2, 'pos', 3, 'batch'])).toBe('6*batch*pos')
    expect(product([])).toBe(1)
    expect(product(['pos', 'batch*head'])).toBe('batch*head*pos')
  })
})
