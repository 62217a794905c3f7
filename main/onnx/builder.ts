/**
 * Builds ONNX graphs node by node, with typed attributes and shapes inferred on the way, so that a mistake shows where it
 * is made and not when a session is created.
 */
import { PatchbayError } from '../../preload/errors'
import type { Dim, DType, Graph, Initialiser, Node, Storage, Value } from './graph'
import type { Attributes, Operator } from './operators'
import { inferShapes, type Typed } from './shapes'

type Writable = { -readonly [K in keyof Value]: Value[K] }
/** Inputs of a node; trailing optional ones may be left out, others are `null`. */
type Inputs = readonly (Value | null)[]

export class GraphBuilder {
  readonly #name: string
  readonly #inputs: Value[] = []
  readonly #outputs: Value[] = []
  readonly #initialisers: Initialiser[] = []
  readonly #nodes: Node[] = []
  readonly #names = new Set<string>()
  readonly #constants = new Map<string, Value>()

  constructor(name: string) {
    this.#name = name
  }

  /** The nodes so far, in topological order. */
  get nodes(): readonly Node[] {
    return this.#nodes
  }

  /** A graph input. Its symbols can from then on be used in `reshape`. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    const value = this.#declare(this.#unique(name, true), { dtype, shape })
    this.#inputs.push(value)
    return value
  }

  /** Declares a graph output under a name of its own. A value that already has a public name goes through `Identity`. */
  output(value: Value, name: string): void {
    const isPublic = this.#inputs.includes(value) || this.#outputs.includes(value)
    const computed = !isPublic && this.#nodes.some((node) => node.outputs.includes(value))
    const target: Writable = computed ? value : this.op('Identity', [value], {})
    this.#names.delete(target.name)
    target.name = this.#unique(name, true)
    this.#outputs.push(target)
  }

  /** An initialiser whose bytes lie in a file of the session's external-data folder. */
  external(name: string, dtype: DType, shape: readonly number[], place: ExternalPlace): Value {
    return this.#store(
      this.#unique(name, true),
      { dtype, shape },
      { kind: 'external', file: place.file, offset: place.offset, length: place.length },
    )
  }

  /** An initialiser inside the model; `data` as it lies in memory, little-endian. */
  inline(name: string, dtype: DType, shape: readonly number[], data: ArrayBufferView): Value {
    return this.#store(this.#unique(name, true), { dtype, shape }, inlineStorage(data))
  }

  /** What `make` adds, added once for each key. */
  once(key: string, make: () => Value): Value {
    return memo(this.#constants, `once ${key}`, make)
  }

  /** A float32 scalar constant; equal ones are stored once. */
  scalar(value: number): Value {
    return memo(this.#constants, `float ${value}`, () =>
      this.#store(
        this.#unique('constant'),
        { dtype: 'float32', shape: [] },
        inlineStorage(Float32Array.of(value)),
      ),
    )
  }

  /** A float32 vector of ones, stored once. */
  ones(length: number): Value {
    return memo(this.#constants, `ones ${length}`, () =>
      this.#store(
        this.#unique('ones'),
        { dtype: 'float32', shape: [length] },
        inlineStorage(new Float32Array(length).fill(1)),
      ),
    )
  }

  /** An int64 vector constant; equal ones are stored once. */
  integers(values: readonly number[]): Value {
    return memo(this.#constants, `integers ${values.join()}`, () => this.#integerVector(values, values))
  }

  /** Adds a node with one output. */
  op<O extends Operator>(op: O, inputs: Inputs, attributes: Attributes[O], name?: string): Value {
    return this.ops(op, inputs, attributes, [name ?? op])[0]
  }

  /** Adds a node with several outputs, one for each name. */
  ops<O extends Operator>(
    op: O,
    inputs: Inputs,
    attributes: Attributes[O],
    names: readonly string[],
  ): Value[] {
    const types = inferShapes(op, inputs, attributes, names.length)
    const outputs = names.map((name, i) => this.#declare(this.#unique(name), types[i]))
    this.#nodes.push({ op, inputs, attributes, outputs })
    return outputs
  }

  /** Adds a node whose output's shape follows from numbers that are known only when it runs: the caller states it. */
  opAs<O extends Operator>(
    type: Typed,
    op: O,
    inputs: Inputs,
    attributes: Attributes[O],
    name?: string,
  ): Value {
    const output = this.#declare(this.#unique(name ?? op), type)
    this.#nodes.push({ op, inputs, attributes, outputs: [output] })
    return output
  }

  /** Makes a node of this graph give more outputs, behind those that it has: its values stay what they are. */
  widen<O extends Operator>(node: Node<O>, attributes: Attributes[O], names: readonly string[]): void {
    const { op, inputs, outputs } = node
    const types = inferShapes(op, inputs, attributes, outputs.length + names.length)
    const added = names.map((name, i) => this.#declare(this.#unique(name), types[outputs.length + i]))
    this.#nodes[this.#nodes.indexOf(node)] = { op, inputs, attributes, outputs: [...outputs, ...added] }
  }

  /**
   * Reshapes to `shape`, which may hold symbols. At most one unknown dimension costs nothing; for more the symbols are
   * read from a graph input that has them.
   */
  reshape(value: Value, shape: readonly Dim[], name = 'Reshape'): Value {
    if (value.shape.join() === shape.join()) return value
    return this.op('Reshape', [value, this.#reshapeTarget(shape)], {}, name)
  }

  #reshapeTarget(shape: readonly Dim[]): Value {
    const symbols = shape.filter((dim) => typeof dim === 'string')
    if (symbols.length === 0) return this.integers(shape.map(Number))
    return memo(this.#constants, `shape ${shape.join()}`, () => {
      if (symbols.length > 1)
        return this.op(
          'Concat',
          shape.map((dim) => this.#dimension(dim)),
          { axis: 0 },
          'shape',
        )
      return this.#integerVector(
        shape.map((dim) => (typeof dim === 'number' ? dim : -1)),
        shape,
      )
    })
  }

  finish(): Graph {
    return {
      name: this.#name,
      inputs: this.#inputs,
      outputs: this.#outputs,
      initialisers: this.#initialisers,
      nodes: this.#nodes,
    }
  }

  /** Stores `values`; shape inference sees `integers` (where a symbol stands for the −1 that Reshape fills in). */
  #integerVector(values: readonly number[], integers: readonly Dim[]): Value {
    const data = BigInt64Array.from(values, BigInt)
    return this.#store(
      this.#unique('integers'),
      { dtype: 'int64', shape: [values.length], integers },
      inlineStorage(data),
    )
  }

  #dimension(dim: Dim): Value {
    if (typeof dim === 'number') return this.integers([dim])
    return memo(this.#constants, `size ${dim}`, () => {
      for (const input of this.#inputs) {
        const axis = input.shape.indexOf(dim)
        if (axis !== -1) return this.op('Shape', [input], { start: axis, end: axis + 1 }, `size_${dim}`)
      }
      throw new PatchbayError('internal', `No input of the graph ${this.#name} has a dimension ${dim}.`)
    })
  }

  #store(name: string, type: Omit<Value, 'name'>, storage: Storage): Value {
    const value = this.#declare(name, type)
    this.#initialisers.push({ value, storage })
    return value
  }

  #declare(name: string, type: Omit<Value, 'name'>): Value {
    this.#names.add(name)
    return { name, dtype: type.dtype, shape: type.shape, integers: type.integers }
  }

  /** `name`, or `name_2`, … where it is taken. */
  #unique(name: string, exact = false): string {
    if (!this.#names.has(name)) {
      this.#names.add(name)
      return name
    }
    if (exact) throw new PatchbayError('internal', `The graph ${this.#name} has two values named ${name}.`)
    let count = 2
    while (this.#names.has(`${name}_${count}`)) count++
    this.#names.add(`${name}_${count}`)
    return `${name}_${count}`
  }
}

const inlineStorage = (data: ArrayBufferView): Storage => ({
  kind: 'inline',
  bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
})

function memo(known: Map<string, Value>, key: string, make: () => Value): Value {
  const value = known.get(key) ?? make()
  known.set(key, value)
  return value
}

/** A place in a file: name in the session's folder, bytes from its start, length in bytes. */
export interface ExternalPlace {
  readonly file: string
  readonly offset: number
  readonly length: number
}
