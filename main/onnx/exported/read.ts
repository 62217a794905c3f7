/** From the bytes of an ONNX file to a model that is known to be well formed. */
import { fromBinary } from '@bufbuild/protobuf'
import { PatchbayError } from '../../../preload/errors'
import { elementTypeOf } from '../element-types'
import type { Dim } from '../graph'
import { ModelProtoSchema, type GraphProto, type ModelProto, type ValueInfoProto } from '../proto/onnx_pb'
import { broken, shown } from './faults'
import type { Declared, OnnxGraph, OnnxModel, OnnxNode, StoredTensor } from './model'
import { checkOperators } from './operator-sets'
import { inOrder } from './order'
import { checkSizes } from './sizes'
import { readSlim, type ByteSource, type SlimModel } from './slim'
import { checkInside } from './inside'
import { domainOf, readNode } from './nodes'
import { readTensor } from './tensors'
import { checkWire } from './wire'

/**
 * Reads and validates a model. Weights stay in the file; values that are wrong in it are named.
 * @param ownFile name under which a session reaches the file from its folder of external data
 * @throws PatchbayError `file.malformed`, `model.unsupported`; they know no file
 */
export async function readModel(source: ByteSource, ownFile: string): Promise<OnnxModel> {
  const slim = await readSlim(source)
  try {
    checkWire(ModelProtoSchema, slim.bytes)
  } catch (error) {
    throw inFile(error, slim)
  }
  const proto = fromBinary(ModelProtoSchema, slim.bytes)
  if (proto.graph === undefined) throw broken('there is no graph in it')
  const opsets = opsetsOf(proto)
  const graph = readGraph(proto.graph, slim.weights, ownFile)
  checkOperators(graph.nodes, opsets, proto.functions)
  checkInside(graph.nodes, proto.functions)
  const model = {
    irVersion: Number(proto.irVersion),
    opsets,
    producer: `${proto.producerName} ${proto.producerVersion}`.trim(),
    functions: proto.functions,
    graph,
  }
  checkSizes(model)
  return model
}

/** The same error with the place in the file instead of that in the bytes that were kept. */
function inFile(error: unknown, slim: SlimModel): unknown {
  if (!(error instanceof PatchbayError) || error.offset === undefined) return error
  const offset = slim.fileOffset(error.offset)
  const message = error.message.replace(/ \(byte \d+\)\.$/, '')
  return broken(message, { field: error.field, offset, cause: error })
}

function opsetsOf({ opsetImport }: ModelProto): Map<string, number> {
  const opsets = new Map<string, number>()
  for (const { domain, version } of opsetImport) {
    const name = domainOf(domain)
    if (opsets.has(name) && opsets.get(name) !== Number(version))
      throw broken(`the model asks for two versions of the operator set ${shown(name)}`, {
        field: 'opset_import',
      })
    opsets.set(name, Number(version))
  }
  return opsets
}

function readGraph(proto: GraphProto, weights: SlimModel['weights'], ownFile: string): OnnxGraph {
  const initialisers = new Map<string, StoredTensor>()
  proto.initializer.forEach((tensor, index) => {
    if (tensor.name === '') throw broken(`weight ${index} has no name`, { field: 'initializer' })
    if (initialisers.has(tensor.name))
      throw broken(`two weights are named ${shown(tensor.name)}`, { field: tensor.name })
    initialisers.set(tensor.name, readTensor(tensor, weights.get(index), ownFile))
  })
  const symbols = new Symbols()
  // Up to IR version 3, and by habit later, weights are listed among the inputs too.
  const inputs = proto.input
    .filter(({ name }) => !initialisers.has(name))
    .map((input) => declared(input, symbols))
  const nodes = inOrder(
    proto.node.map(readNode),
    new Set([...initialisers.keys(), ...inputs.map(({ name }) => name)]),
  )
  const outputs = proto.output.map((output) => declared(output, symbols))
  checkOutputs(outputs, inputs, initialisers, nodes)
  const stated = new Map(proto.valueInfo.map((value) => [value.name, declared(value, symbols)]))
  return { name: proto.name, inputs, outputs, initialisers, nodes, stated }
}

function checkOutputs(
  outputs: readonly Declared[],
  inputs: readonly Declared[],
  initialisers: ReadonlyMap<string, StoredTensor>,
  nodes: readonly OnnxNode[],
): void {
  const made = new Set([...nodes.flatMap((node) => node.outputs), ...initialisers.keys()])
  for (const { name } of inputs) made.add(name)
  if (outputs.length === 0) throw broken('the graph has no outputs', { field: 'output' })
  const seen = new Set<string>()
  for (const { name } of outputs) {
    if (!made.has(name) || name === '')
      throw broken(`nothing computes the output ${shown(name)}`, { field: name })
    if (seen.has(name)) throw broken(`the output ${shown(name)} is listed twice`, { field: name })
    seen.add(name)
  }
}

function declared({ name, type }: ValueInfoProto, symbols: Symbols): Declared {
  if (type?.value.case !== 'tensorType') return { name, type: null, shape: null }
  const { elemType, shape } = type.value.value
  return {
    name,
    type: elementTypeOf(elemType),
    shape: shape?.dim.map(({ value }) => symbols.dim(value)) ?? null,
  }
}

/** Dimensions as the graph's algebra knows them: names, their products and sums as they stand, else a symbol. */
class Symbols {
  readonly #names = new Map<string, string>()
  #unknown = 0

  dim(value: { case?: string; value?: bigint | string }): Dim {
    if (typeof value.value === 'bigint' && value.value >= 0n) return Number(value.value)
    if (typeof value.value !== 'string' || value.value === '') return `unknown${++this.#unknown}`
    const terms = value.value.split('+').map((term) => term.split('*').map((name) => name.trim()))
    if (!terms.flat().every((name) => /^[A-Za-z_]\w{0,100}$/.test(name))) return this.#named(value.value)
    return terms
      .map((factors) => factors.sort().join('*'))
      .sort()
      .join('+')
  }

  #named(text: string): string {
    const known = this.#names.get(text) ?? `dim${this.#names.size + 1}`
    this.#names.set(text, known)
    return known
  }
}
