/** Values of an exported graph as inputs of the graph in which its gradients are built. */
import { elementTypes, type ElementType } from '../../element-types'
import { shown } from '../../exported/faults'
import { unknown, type Known } from '../../exported/infer/known'
import type { GraphBuilder } from '../../builder'
import type { Dim, DType, Value } from '../../graph'
import { notDifferentiable } from '../rule'

/** Element types that our operators know. */
const ours: ReadonlySet<ElementType> = new Set<DType>([
  'float32',
  'float16',
  'bfloat16',
  'float64',
  'int64',
  'int32',
  'uint8',
  'int8',
  'bool',
])
const isOurs = (type: ElementType): type is DType & ElementType => ours.has(type)

export class Lifted {
  readonly #values = new Map<string, Value>()
  readonly #names = new Map<Value, string>()

  constructor(
    private readonly g: GraphBuilder,
    private readonly known: ReadonlyMap<string, Known>,
  ) {}

  /**
   * The value `name`. Two of its dimensions that have different names may still be equal, or one of them 1: every
   * dimension that is not a number is open.
   * @throws PatchbayError `model.unsupported` where its type or its number of axes is not known
   */
  value(name: string): Value {
    const found = this.#values.get(name)
    if (found !== undefined) return found
    const { type, shape, integers } = this.known.get(name) ?? unknown
    if (type === null || shape === null || !isOurs(type))
      throw notDifferentiable(
        `Of the value ${shown(name)} ${describe(type, shape)}, and the gradient needs it`,
        name.slice(0, 200),
      )
    const declared = this.g.input(`value ${name}`, type, shape.map(open))
    const value =
      integers === null || shape.length !== 1 ? declared : { ...declared, integers: integers.map(open) }
    this.#values.set(name, value)
    this.#names.set(value, name)
    this.#names.set(declared, name)
    return value
  }

  /** What the value is called in the exported graph; undefined for one that was made here. */
  nameOf(value: Value): string | undefined {
    return this.#names.get(value)
  }
}

const open = (dim: Dim): Dim => (typeof dim === 'number' ? dim : `?${dim}`)

const describe = (type: ElementType | null, shape: readonly Dim[] | null): string => {
  if (type !== null && !(type in elementTypes && isOurs(type))) return `the type ${type} is not computed with`
  return type === null ? 'the type is not known' : shape === null ? 'the number of axes is not known' : ''
}
