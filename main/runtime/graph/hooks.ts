/** Puts a variant's captures and ports into a graph, at the hook points that the builders announce. */
import type { Dim, Value } from '../../onnx/graph'
import type { GraphBuilder } from '../../onnx/builder'
import { portInput, touches, type PortKind, type Variant } from './variant'

export class Hooks<Site extends string> {
  constructor(
    protected readonly g: GraphBuilder,
    private readonly variant: Variant<Site>,
    /** Stands before input and output names where several blocks share one graph. */
    private readonly prefix = '',
  ) {}

  /** Whether the graph must compute this hook point as a value of its own. */
  wants(...sites: Site[]): boolean {
    return sites.some((site) => touches(this.variant, site))
  }

  /** Whether this hook point is changed, and not only read. */
  changes(site: Site): boolean {
    return this.variant.ports.has(site)
  }

  /**
   * Announces that `value` is the hook point `site`, of shape `dims` up to flattening. Returns what the rest of the
   * graph must use instead. A capture is of the changed value, in whatever flattened shape it is computed.
   * @param finish what is done to a changed value before it is captured and used
   */
  at(site: Site, value: Value, dims: readonly Dim[], finish = (changed: Value): Value => changed): Value {
    const kinds = this.variant.ports.get(site) ?? []
    let result = value
    if (kinds.length > 0) {
      let shaped = this.g.reshape(value, dims)
      kinds.forEach((kind, index) => (shaped = this.#port(site, index, kind, shaped)))
      result = finish(this.g.reshape(shaped, value.shape))
    }
    if (this.variant.captures.has(site)) this.g.output(result, this.prefix + site)
    return result
  }

  #port(site: Site, index: number, kind: PortKind, x: Value): Value {
    const { g } = this
    const open = (part: string, dims: readonly Dim[]): Value =>
      g.input(this.prefix + portInput(site, index, part), 'float32', dims)
    const any = x.shape.map((_, axis) => `?${axis}`)
    if (kind === 'affine')
      return g.op('Add', [g.op('Mul', [x, open('keep', any)], {}), open('value', any)], {})
    const perPosition = [...any.slice(0, -1), 1]
    const direction = open('direction', any)
    const along = g.op('ReduceSum', [g.op('Mul', [x, direction], {}), g.integers([-1])], { keepdims: 1 })
    const missing = g.op('Sub', [open('target', perPosition), along], {})
    const step = g.op('Mul', [g.op('Mul', [missing, open('amount', perPosition)], {}), direction], {})
    return g.op('Add', [x, step], {})
  }
}
