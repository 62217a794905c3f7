/**
 * Changes to a graph that leave what it computes as it is until something is fed: any value can be given out, and any
 * value can get ports, x ← keep ⊙ x + value, or x ← x + amount ⊙ (target − x·d̂) d̂. Its name then stands for the changed
 * value, so that every reader, subgraphs included, sees the change.
 */
import { PatchbayError } from '../../../preload/errors'
import type { ElementType } from '../element-types'
import type { Dim } from '../graph'
import { attributeProtos } from '../serialise'
import type { Declared, OnnxGraph, OnnxNode, StoredTensor, ValueType } from './model'
import { inverse, type View } from './view'

/** A port's kind with the names of its inputs. */
export type PortSpec =
  | { readonly kind: 'affine'; readonly keep: string; readonly value: string }
  | {
      readonly kind: 'direction'
      readonly direction: string
      readonly amount: string
      readonly target: string
    }

/** A value as a capture or a port sees it: always float32, in the hook point's layout. */
export interface Site {
  readonly value: string
  readonly type: ElementType
  readonly view: View
  /** Number of axes of the hook point. */
  readonly rank: number
}

export class GraphSurgery {
  readonly #graph: OnnxGraph
  readonly #opset: number
  readonly #names: Set<string>
  readonly #renamed = new Map<string, string>()
  readonly #stated: Map<string, ValueType>
  /** Nodes to come right behind the node that makes a value. */
  readonly #after = new Map<number, OnnxNode[]>()
  /** Nodes to come behind all others. */
  readonly #last: OnnxNode[] = []
  readonly #producer = new Map<string, number>()
  readonly #inputs: Declared[] = []
  readonly #outputs: Declared[] = []
  readonly #constants = new Map<string, StoredTensor>()

  /** @param opset version of ONNX's own operators that the graph is written for */
  constructor(graph: OnnxGraph, opset: number) {
    this.#graph = graph
    this.#opset = opset
    this.#stated = new Map(graph.stated)
    this.#names = new Set([...graph.inputs.map(({ name }) => name), ...graph.initialisers.keys()])
    graph.nodes.forEach((node, index) => {
      for (const name of node.outputs) {
        this.#names.add(name)
        if (name !== '') this.#producer.set(name, index)
      }
    })
  }

  /** Puts ports at a value, in the order in which they act, behind those that it has. */
  port(site: Site, ports: readonly PortSpec[]): void {
    const { value, view, type } = site
    const producer = this.#producer.get(value)
    if (producer === undefined)
      throw new PatchbayError('internal', `The graph ${this.#graph.name} can have no ports at ${value}.`)
    const before = this.#unique(`${value}/before`)
    this.#rename(producer, value, before)
    const nodes: OnnxNode[] = []
    let x = this.#seen(nodes, before, site)
    for (const port of ports) x = this.#port(nodes, x, port, site.rank)
    if (view.shape !== null) x = this.#reshape(nodes, x, view.shape.back)
    if (view.perm !== null) x = this.#add(nodes, 'Transpose', [x], { perm: inverse(view.perm) })
    if (view.lift) x = this.#axis(nodes, 'Squeeze', x)
    if (type !== 'float32') x = this.#add(nodes, 'Cast', [x], { to: type })
    nodes.push(node('Identity', [x], value))
    this.#put(producer, nodes)
  }

  /** Gives a value out under `name`, as float32 in the hook point's layout, after its ports. */
  capture(site: Site, name: string): void {
    this.#take(name)
    const nodes: OnnxNode[] = []
    const x = this.#seen(nodes, site.value, site)
    nodes.push(node('Identity', [x], name))
    this.#outputs.push({ name, type: 'float32', shape: null })
    // Ports that come later go in between: they make the value anew.
    this.#last.push(...nodes)
  }

  finish(): OnnxGraph {
    const { nodes, inputs, outputs, initialisers } = this.#graph
    const all: OnnxNode[] = []
    nodes.forEach((original, index) => {
      all.push({ ...original, outputs: original.outputs.map((name) => this.#renamed.get(name) ?? name) })
      all.push(...(this.#after.get(index) ?? []))
    })
    return {
      ...this.#graph,
      nodes: [...all, ...this.#last],
      inputs: [...inputs, ...this.#inputs],
      outputs: [...outputs, ...this.#outputs],
      initialisers: new Map([...initialisers, ...this.#constants]),
      stated: this.#stated,
    }
  }

  /** Adds nodes that bring a value into the hook point's type and layout. */
  #seen(nodes: OnnxNode[], value: string, { type, view }: Site): string {
    let x = value
    if (type !== 'float32') x = this.#add(nodes, 'Cast', [x], { to: 'float32' })
    if (view.lift) x = this.#axis(nodes, 'Unsqueeze', x)
    if (view.perm !== null) x = this.#add(nodes, 'Transpose', [x], { perm: view.perm })
    return view.shape === null ? x : this.#reshape(nodes, x, view.shape.to)
  }

  #port(nodes: OnnxNode[], x: string, port: PortSpec, rank: number): string {
    const any = Array.from({ length: rank }, (_, axis) => `?${axis}`)
    const open = (name: string, shape: readonly Dim[] = any): string => {
      this.#take(name)
      this.#inputs.push({ name, type: 'float32', shape })
      return name
    }
    const add = (op: string, inputs: string[], attributes = {}): string =>
      this.#add(nodes, op, inputs, attributes)
    if (port.kind === 'affine') return add('Add', [add('Mul', [x, open(port.keep)]), open(port.value)])
    const perPosition = [...any.slice(0, -1), 1]
    const direction = open(port.direction)
    const products = add('Mul', [x, direction])
    const along = this.#overAxes(nodes, 'ReduceSum', products, [-1], { keepdims: 1 })
    const missing = add('Sub', [open(port.target, perPosition), along])
    const step = add('Mul', [add('Mul', [missing, open(port.amount, perPosition)]), direction])
    return add('Add', [x, step])
  }

  /** Adds or takes away the first axis. */
  #axis(nodes: OnnxNode[], op: 'Squeeze' | 'Unsqueeze', x: string): string {
    return this.#overAxes(nodes, op, x, [0], {})
  }

  /** A node with axes, which are an input from operator set 13 on and were an attribute before. */
  #overAxes(nodes: OnnxNode[], op: string, x: string, axes: number[], attributes: object): string {
    return this.#opset >= 13
      ? this.#add(nodes, op, [x, this.#integers(axes)], { ...attributes })
      : this.#add(nodes, op, [x], { ...attributes, axes })
  }

  #reshape(nodes: OnnxNode[], x: string, target: readonly number[]): string {
    return this.#add(nodes, 'Reshape', [x, this.#integers(target)])
  }

  #add(nodes: OnnxNode[], op: string, inputs: string[], attributes: Record<string, unknown> = {}): string {
    const output = this.#unique(`patchbay/${op}`)
    nodes.push(node(op, inputs, output, attributes))
    return output
  }

  #integers(values: readonly number[]): string {
    const name = `patchbay/integers/${values.join()}`
    const data = BigInt64Array.from(values, BigInt)
    this.#constants.set(name, {
      name,
      type: 'int64',
      shape: [values.length],
      storage: { kind: 'inline', bytes: new Uint8Array(data.buffer) },
    })
    return name
  }

  #put(producer: number, nodes: readonly OnnxNode[]): void {
    const found = this.#after.get(producer) ?? []
    found.push(...nodes)
    this.#after.set(producer, found)
  }

  /** Gives the node output `value` another name; who reads it will read what is made under its old one. */
  #rename(producer: number, value: string, name: string): void {
    const stated = this.#stated.get(value)
    if (stated !== undefined) this.#stated.set(name, stated)
    const behind = this.#after.get(producer) ?? []
    const index = behind.findIndex(({ outputs }) => outputs[0] === value)
    if (index === -1) this.#renamed.set(value, name)
    else behind[index] = { ...behind[index], outputs: [name] }
  }

  #take(name: string): void {
    if (this.#names.has(name))
      throw new PatchbayError('internal', `The graph ${this.#graph.name} has a value named ${name} already.`)
    this.#names.add(name)
  }

  #unique(name: string): string {
    let unique = name
    for (let i = 2; this.#names.has(unique); i++) unique = `${name}/${i}`
    this.#names.add(unique)
    return unique
  }
}

const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Record<string, unknown> = {},
): OnnxNode => ({
  domain: '',
  op,
  name: '',
  inputs,
  outputs: [output],
  attributes: attributeProtos(attributes),
  captured: [],
  overload: '',
})
