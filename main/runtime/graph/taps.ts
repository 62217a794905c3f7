/** Hook points of a graph that is differentiated: values that gradients are taken at, that a metric reads, or that are given. */
import type { Dim, Graph, Value } from '../../onnx/graph'
import type { GraphBuilder } from '../../onnx/builder'
import { Hooks } from './hooks'
import type { Variant } from './variant'

export interface Tap {
  /** What the rest of the graph uses, after what is changed there; flattened as it is computed. */
  readonly value: Value
  /** The hook point's shape. */
  readonly dims: readonly Dim[]
}

/** Name of the input that a hook point's value is given by. */
export const valueAt = (site: string): string => `value/${site}`

export class Taps<Site extends string> extends Hooks<Site> {
  readonly #sites: ReadonlySet<Site>
  readonly #given: ReadonlySet<Site>
  readonly #found = new Map<Site, Tap>()
  readonly #substitutes = new Map<Value, Value>()

  /**
   * @param sites where values are looked at
   * @param given where a forward pass kept the value: it is an input then, and what computes it is needed by gradients only
   */
  constructor(
    g: GraphBuilder,
    ports: Variant<Site>['ports'],
    sites: Iterable<Site>,
    given: ReadonlySet<Site> = new Set(),
  ) {
    super(g, { captures: new Set(), ports })
    this.#sites = new Set(sites)
    this.#given = given
  }

  override wants(...sites: Site[]): boolean {
    return super.wants(...sites) || sites.some((site) => this.#sites.has(site))
  }

  override at(site: Site, value: Value, dims: readonly Dim[], finish?: (changed: Value) => Value): Value {
    const result = super.at(site, value, dims, finish)
    if (!this.#sites.has(site) && !this.#given.has(site)) return result
    // A value of its own: the same one may be another hook point too.
    const tapped = this.g.op('Identity', [result], {}, site)
    if (this.#sites.has(site)) this.#found.set(site, { value: tapped, dims })
    if (this.#given.has(site))
      this.#substitutes.set(
        tapped,
        this.g.reshape(this.g.input(valueAt(site), 'float32', dims), tapped.shape),
      )
    return tapped
  }

  /** What was announced at each of the sites. */
  get found(): ReadonlyMap<Site, Tap> {
    return this.#found
  }

  /**
   * The finished, differentiated graph with the given values in the places of those that it computes. The way back still
   * leads through what would have computed them.
   */
  withGiven(graph: Graph): Graph {
    if (this.#substitutes.size === 0) return graph
    const instead = (value: Value | null): Value | null =>
      value === null ? null : (this.#substitutes.get(value) ?? value)
    return { ...graph, nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(instead) })) }
  }
}
