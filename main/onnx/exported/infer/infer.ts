/** Walks a graph once, in order, and collects what is known of each of its values. */
import { PatchbayError } from '../../../../preload/errors'
import { isInteger } from '../../element-types'
import type { Dim } from '../../graph'
import { tensorOf } from '../attributes'
import { integersOf } from '../attributes'
import type { OnnxGraph, OnnxModel, OnnxNode, StoredTensor } from '../model'
import { numbersOf, readTensor } from '../tensors'
import { FreshSymbols } from './dims'
import { integerRules } from './integer-rules'
import { GivesUp, unknown, type Application, type Known, type Typed } from './known'
import { shapeRules } from './shape-rules'

/** Values of constants up to this many elements are looked at. */
const MOST_NUMBERS = 64

/** What is known of every value of a model's graph, by name. */
export function inferValues({ graph, opsets }: OnnxModel): ReadonlyMap<string, Known> {
  const values = new Map<string, Known>()
  const fresh = new FreshSymbols()
  for (const { name, type, shape } of graph.inputs) values.set(name, { ...unknown, type, shape })
  for (const tensor of graph.initialisers.values()) values.set(tensor.name, stored(tensor))
  const opset = opsets.get('') ?? 0
  for (const node of graph.nodes)
    inferNode({ node, values, fresh, opset }).forEach((known, i) => {
      const name = node.outputs[i]
      if (name !== '') values.set(name, withStated(graph, name, known))
    })
  return values
}

/** What is known of a node's outputs, from what is known of the values that it reads. */
export function inferNode({
  node,
  values,
  fresh,
  opset,
}: Omit<Application, 'inputs'> & { readonly values: ReadonlyMap<string, Known> }): Known[] {
  const inputs = node.inputs.map((name) => (name === '' ? null : (values.get(name) ?? unknown)))
  const results = resultsOf({ node, inputs, fresh, opset })
  return node.outputs.map((_, i) => results[i] ?? unknown)
}

/** What the file states of a value fills in what could not be inferred. */
function withStated({ stated, outputs }: OnnxGraph, name: string, known: Known): Known {
  const told = stated.get(name) ?? outputs.find((output) => output.name === name)
  if (told === undefined || (known.shape !== null && known.type !== null)) return known
  return { ...known, type: known.type ?? told.type, shape: known.shape ?? told.shape }
}

/** What is known of a weight. */
export function stored(tensor: StoredTensor): Known {
  const count = tensor.shape.reduce((total, dim) => total * dim, 1)
  const numbers = count <= MOST_NUMBERS ? numbersOf(tensor) : null
  return constant(tensor, numbers)
}

function constant({ type, shape }: Typed, numbers: readonly number[] | null): Known {
  const small = shape !== null && shape.length <= 1 && isInteger(type)
  return { type, shape, numbers, integers: small ? numbers : null, constant: true }
}

function resultsOf(application: Application): Known[] {
  const { node, inputs } = application
  if (node.op === 'Constant' && node.domain === '') return [constantNode(application)]
  const types = attempt(() => ruleOf(node)?.(application)) ?? []
  const integers = node.domain === '' ? attempt(() => integerRules.get(node.op)?.(application)) : undefined
  const constantInputs = inputs.length > 0 && inputs.every((input) => input === null || input.constant)
  const isConstant = constantInputs && node.captured.length === 0 && !node.op.startsWith('Random')
  return node.outputs.map((_, i): Known => {
    const { type = null, shape = null } = types[i] ?? {}
    const fits =
      integers !== undefined && shape !== null && shape.length <= 1 && integers.length <= MOST_NUMBERS
    return {
      type,
      shape,
      integers: fits && i === 0 && (isInteger(type) || type === 'bool') ? integers : null,
      numbers: null,
      constant: isConstant,
    }
  })
}

/** Rules of ONNX's own operators and of ONNX Runtime's, which share names only where they mean the same here. */
const ruleOf = (node: OnnxNode): ReturnType<typeof shapeRules.get> =>
  node.domain === '' || node.domain === 'com.microsoft' ? shapeRules.get(node.op) : undefined

function constantNode({ node }: Application): Known {
  const proto = tensorOf(node, 'value')
  if (proto) {
    const tensor = attempt(() => readTensor(proto, undefined, ''))
    return tensor === undefined ? { ...unknown, constant: true } : stored(tensor)
  }
  const [type] =
    attempt(() => shapeRules.get('Constant')?.({ node, inputs: [], fresh: new FreshSymbols(), opset: 0 })) ??
    []
  const numbers = node.attributes.flatMap(({ name, i, f, floats }) =>
    name === 'value_int'
      ? [Number(i)]
      : name === 'value_float'
        ? [f]
        : [...(integersOf(node, name) ?? floats)],
  )
  return constant(type ?? { type: null, shape: null }, numbers.length <= MOST_NUMBERS ? numbers : null)
}

/** A rule's result, or undefined where it does not know enough or the shapes do not fit (the runtime will say so). */
function attempt<T>(rule: () => T): T | undefined {
  try {
    return rule()
  } catch (thrown) {
    if (thrown instanceof GivesUp || thrown instanceof PatchbayError) return undefined
    throw thrown
  }
}

/** Elements of a shape, where all dimensions are numbers. */
export function elementsOf(shape: readonly Dim[] | null): number | null {
  if (shape === null || shape.some((dim) => typeof dim !== 'number')) return null
  return shape.reduce<number>((total, dim) => total * Number(dim), 1)
}
