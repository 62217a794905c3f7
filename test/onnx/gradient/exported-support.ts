/** Single nodes of exported graphs: the gradient that is built for one, against differences of what it computes. */
import { InferenceSession } from 'onnxruntime-node'
import type { OnnxGraph, OnnxModel } from '../../../main/onnx/exported/model'
import { readModel } from '../../../main/onnx/exported/read'
import type { Site } from '../../../main/onnx/exported/surgery'
import { asItIs } from '../../../main/onnx/exported/view'
import { writeModel } from '../../../main/onnx/exported/write'
import { differentiateExported } from '../../../main/onnx/gradient/exported'
import { TensorProto_DataType as DataType } from '../../../main/onnx/proto/onnx_pb'
import { expect } from 'vitest'
import { modelBytes, node, sourceOf, value, type GraphInit } from '../../support/onnx-model'
import { expectClose, looked, numbers, outputsOf, quotientsOf, tensor, type Fed } from './support'

export interface NodeCheck {
  readonly op: string
  readonly domain?: string
  readonly opset?: number
  readonly attributes?: Parameters<typeof node>[3]
  /** Inputs in order; null for one that is left out, a name for one that is fed before. */
  readonly inputs: readonly (Fed | null)[]
  /** Stored in the model. */
  readonly stored?: GraphInit['initializer']
  /** Names of the inputs, where some are stored. */
  readonly names?: readonly string[]
  /** How many outputs it has; the gradient is by the first `metric` of them. */
  readonly outputs?: number
  /** Which inputs' gradients are compared; unless given, all floats that are fed. */
  readonly targets?: readonly number[]
  readonly tolerance?: number
  readonly step?: number
}

const wire = {
  float32: DataType.FLOAT,
  int64: DataType.INT64,
  int32: DataType.INT32,
  uint8: DataType.UINT8,
  bool: DataType.BOOL,
}

const siteOf = (name: string, rank: number): Site => ({ value: name, type: 'float32', view: asItIs, rank })

/** A model of one node. Dimensions of inputs are open unless stated, so that all is decided when it runs. */
export async function oneNode(
  check: NodeCheck,
): Promise<{ model: OnnxModel; bytes: Uint8Array; fed: Map<string, Fed> }> {
  const { op, domain = '', opset = 18, attributes = {}, inputs, outputs = 1, stored = [] } = check
  const fed = new Map<string, Fed>()
  const names = inputs.map((input, i) => {
    if (input !== null) fed.set(`x${i}`, input)
    return check.names?.[i] ?? (input === null ? '' : `x${i}`)
  })
  const made = Array.from({ length: outputs }, (_, i) => `y${i}`)
  const bytes = modelBytes(
    {
      node: [node(op, names, made, attributes, { domain })],
      initializer: stored,
      input: [...fed].map(([name, { shape, dims, dtype = 'float32' }]) =>
        value(
          name,
          [...(dims ?? shape.map((dim, axis) => (dim === 1 ? 1 : `${name}_${axis}`)))],
          wire[dtype],
        ),
      ),
      output: [{ ...value('y0', []), type: undefined }],
    },
    { '': opset, 'com.microsoft': 1 },
  )
  return { model: await readModel(sourceOf(bytes), 'model.onnx'), bytes, fed }
}

export async function checkNode(check: NodeCheck): Promise<void> {
  const { tolerance = 5e-3, step = 1 / 64 } = check
  const { model, bytes, fed } = await oneNode(check)
  const base = Object.fromEntries([...fed].map(([name, input]) => [name, tensor(input)]))
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
  const [at] = await outputsOf(session, base)
  const weight = numbers(at.shape, 100)
  const targets =
    check.targets?.map((i) => `x${i}`) ?? [...fed].flatMap(([name, { dtype }]) => (dtype ? [] : [name]))
  const graph = differentiateExported(
    model,
    [{ site: siteOf('y0', at.shape.length), input: 'dy' }],
    targets.map((name) => ({ site: siteOf(name, 1), output: `d_${name}` })),
  )
  const found = await runGraph(model, graph, { ...base, dy: tensor(weight) })
  for (const name of targets) {
    const input = fed.get(name) ?? numbers([])
    expect([name, found[`d_${name}`].shape]).toEqual([name, input.shape])
    const quotients = await quotientsOf(session, base, name, input, [weight], step)
    const got = found[`d_${name}`].data
    const compared = looked(got.length).map((i) => got[i])
    expectClose(name, compared, quotients, tolerance)
  }
  await session.release()
}

/** Runs a graph of the model once; values by output name. */
export async function runGraph(
  model: OnnxModel,
  graph: OnnxGraph,
  feeds: Record<string, ReturnType<typeof tensor>>,
): Promise<Record<string, { shape: readonly number[]; data: readonly number[] }>> {
  const session = await InferenceSession.create(writeModel(model, graph), { logSeverityLevel: 3 })
  const results = await outputsOf(session, feeds)
  const named = session.outputNames.map((name, i) => [name, results[i]] as const)
  await session.release()
  return Object.fromEntries(named)
}
