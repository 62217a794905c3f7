/**
 * A model that somebody else exported, as plain data that can hold any operator: nodes name their values by text, and
 * attributes and subgraphs stay as they came. What Patchbay builds itself is typed by operator instead (../graph.ts).
 */
import type { ElementType } from '../element-types'
import type { Dim, Storage } from '../graph'
import type { AttributeProto, FunctionProto } from '../proto/onnx_pb'

export interface OnnxModel {
  readonly irVersion: number
  /** Version of each operator set, by domain; `''` is ONNX's own. */
  readonly opsets: ReadonlyMap<string, number>
  /** Who wrote it: `pytorch 2.8.0`. */
  readonly producer: string
  /** Operators that the model defines itself. */
  readonly functions: readonly FunctionProto[]
  readonly graph: OnnxGraph
}

export interface OnnxGraph {
  readonly name: string
  /** What is fed; initialisers are not among them. */
  readonly inputs: readonly Declared[]
  readonly outputs: readonly Declared[]
  readonly initialisers: ReadonlyMap<string, StoredTensor>
  /** In topological order. */
  readonly nodes: readonly OnnxNode[]
  /** Types that the file states for values in between. */
  readonly stated: ReadonlyMap<string, ValueType>
}

export interface OnnxNode {
  /** `''` for ONNX's own operators. */
  readonly domain: string
  readonly op: string
  readonly name: string
  /** Names of values; `''` where an optional one is left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: readonly AttributeProto[]
  /** Values of this graph that the node's subgraphs read. */
  readonly captured: readonly string[]
  readonly overload: string
}

export interface ValueType {
  readonly type: ElementType | null
  /** Outermost first; null where not even the number of axes is known. */
  readonly shape: readonly Dim[] | null
}

export interface Declared extends ValueType {
  readonly name: string
}

export interface StoredTensor {
  readonly name: string
  readonly type: ElementType
  readonly shape: readonly number[]
  readonly storage: Storage
}

/** All values that a node needs, its subgraphs' included. */
export const readsOf = (node: OnnxNode): string[] =>
  [...node.inputs, ...node.captured].filter((name) => name !== '')

/** Whether a node looks at how large its input is, not at its numbers. */
export const readsShapeOnly = (node: OnnxNode): boolean =>
  node.domain === '' && (node.op === 'Shape' || node.op === 'Size')

/** Who makes and who reads each value of a graph. */
export interface Links {
  /** Index of the node that makes the value. */
  readonly producer: ReadonlyMap<string, number>
  /** Indices of the nodes that read it, in order. */
  readonly consumers: ReadonlyMap<string, readonly number[]>
}

export function linksOf(nodes: readonly OnnxNode[]): Links {
  const producer = new Map<string, number>()
  const consumers = new Map<string, number[]>()
  nodes.forEach((node, index) => {
    for (const name of node.outputs) if (name !== '') producer.set(name, index)
    for (const name of new Set(readsOf(node))) {
      const found = consumers.get(name)
      if (found === undefined) consumers.set(name, [index])
      else found.push(index)
    }
  })
  return { producer, consumers }
}
