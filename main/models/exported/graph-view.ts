/**
 * A graph as recognition reads it: who makes and reads each value, which values are the same under several names, and
 * what depends on what by its numbers (reading only the shape of a value is no dependence on it).
 */
import type { ElementType } from '../../onnx/element-types'
import { inferValues } from '../../onnx/exported/infer/infer'
import { unknown, type Known } from '../../onnx/exported/infer/known'
import {
  linksOf,
  readsOf,
  readsShapeOnly,
  type Links,
  type OnnxModel,
  type OnnxNode,
} from '../../onnx/exported/model'
import type { Dim } from '../../onnx/graph'

/** What lies between two values: all that depends on the first and that the second is computed from. */
export interface Cone {
  readonly from: string
  readonly to: string
  readonly values: ReadonlySet<string>
  /** In topological order. */
  readonly nodes: readonly OnnxNode[]
}

export class GraphView {
  readonly values: ReadonlyMap<string, Known>
  readonly #links: Links

  constructor(readonly model: OnnxModel) {
    this.values = inferValues(model)
    this.#links = linksOf(model.graph.nodes)
  }

  /** The node that makes a value, or null for an input or a weight. */
  maker(value: string): OnnxNode | null {
    const index = this.#links.producer.get(value)
    return index === undefined ? null : this.model.graph.nodes[index]
  }

  isInput(value: string): boolean {
    return this.model.graph.inputs.some(({ name }) => name === value)
  }

  /** The graph's output that is this value, under whatever name; null where it is none. */
  outputOf(value: string): string | null {
    return this.model.graph.outputs.find(({ name }) => this.root(name) === this.root(value))?.name ?? null
  }

  /** Place of a value in the order of computation; −1 for inputs and weights. */
  place(value: string): number {
    return this.#links.producer.get(value) ?? -1
  }

  /** The nodes that read a value's numbers. */
  readers(value: string): OnnxNode[] {
    return (this.#links.consumers.get(value) ?? [])
      .map((index) => this.model.graph.nodes[index])
      .filter((node) => !readsShapeOnly(node))
  }

  shape(value: string): readonly Dim[] | null {
    return (this.values.get(value) ?? unknown).shape
  }

  type(value: string): ElementType | null {
    return (this.values.get(value) ?? unknown).type
  }

  isConstant(value: string): boolean {
    return this.values.get(value)?.constant ?? false
  }

  /** Elements of a small constant. */
  numbers(value: string): readonly number[] | null {
    return this.values.get(value)?.numbers ?? null
  }

  /** One number, in whatever number of axes. */
  isScalar(value: string): boolean {
    const shape = this.shape(value)
    return shape !== null && shape.every((dim) => dim === 1)
  }

  /** A value under its first name: before nodes that only pass it on. */
  root(value: string): string {
    let at = value
    for (let node = this.maker(at); node !== null && this.passesOn(node); node = this.maker(at))
      at = node.inputs[0]
    return at
  }

  /** Whether the node's first output is its first input, unchanged. */
  passesOn(node: OnnxNode): boolean {
    if (node.domain !== '') return false
    if (node.op === 'Cast') {
      const [from, to] = [this.type(node.inputs[0]), this.type(node.outputs[0])]
      return from === to && from !== null
    }
    return node.op === 'Identity' || node.op === 'Dropout'
  }

  /** The values whose numbers a node uses, constants left out. */
  operands(node: OnnxNode): string[] {
    return readsShapeOnly(node) ? [] : readsOf(node).filter((name) => !this.isConstant(name))
  }

  /** Whether the numbers of `value` depend on those of `on`. */
  dependsOn(value: string, on: string): boolean {
    const limit = this.place(on)
    const seen = new Set<string>()
    const open = [value]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (at === on) return true
      if (seen.has(at) || this.place(at) <= limit) continue
      seen.add(at)
      const node = this.maker(at)
      if (node !== null) open.push(...this.operands(node))
    }
    return false
  }

  /** The cone between `from` (first name) and `to`. */
  cone(from: string, to: string): Cone {
    const behind = new Set<OnnxNode>()
    const open = [to]
    const limit = this.place(from)
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const node = this.maker(at)
      if (node === null || at === from || this.place(at) <= limit || behind.has(node)) continue
      behind.add(node)
      open.push(...this.operands(node))
    }
    const values = new Set<string>()
    const nodes: OnnxNode[] = []
    const ordered = [...behind].sort((a, b) => this.place(a.outputs[0]) - this.place(b.outputs[0]))
    for (const node of ordered) {
      if (!this.operands(node).some((name) => name === from || values.has(name))) continue
      nodes.push(node)
      for (const name of node.outputs) if (name !== '') values.add(name)
    }
    return { from, to, values, nodes }
  }

  /** The operands of a node that lie in a cone or are its beginning. */
  inside(node: OnnxNode, { from, values }: Cone): string[] {
    return [...new Set(this.operands(node).filter((name) => name === from || values.has(name)))]
  }

  /**
   * The funnel points on the way from `value` back to the beginning of a cone, `value` first: every path between the
   * two runs through each of them (they are the dominators of `value`).
   */
  wayBack(value: string, cone: Cone): string[] {
    const way: string[] = []
    const frontier = new Set([value])
    while (frontier.size > 0) {
      const latest = [...frontier].reduce((a, b) => (this.place(b) > this.place(a) ? b : a))
      if (frontier.size === 1) way.push(latest)
      frontier.delete(latest)
      const node = this.maker(latest)
      if (latest === cone.from || node === null) continue
      for (const name of this.inside(node, cone)) frontier.add(name)
    }
    return way
  }
}
