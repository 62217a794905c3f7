/** What a run was asked to give out, and what of it is there. */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { hookDims, hookName, type Dim, type HookPoint } from '../../preload/hooks'
import { sizeOf, type Tensor } from '../../preload/tensor'
import { hookSizes } from '../models/hook-points'
import type { TransformerSpec } from '../models/spec'
import type { Layout } from './layout'
import { floatData } from './session'

export class Captures {
  /** By canonical hook name. */
  readonly kept = new Map<string, Tensor>()
  readonly #wanted: ReadonlySet<string>

  /** @param wanted canonical hook names */
  constructor(
    private readonly spec: TransformerSpec,
    private readonly layout: Layout,
    wanted: Iterable<string> = [],
  ) {
    this.#wanted = new Set(wanted)
  }

  get wanted(): Iterable<string> {
    return this.#wanted
  }

  wants(point: HookPoint): boolean {
    return this.#wanted.size > 0 && this.#wanted.has(hookName(point))
  }

  /** The sites among `sites` whose hook points are wanted. */
  wantedOf<Site extends string>(sites: readonly Site[], at: (site: Site) => HookPoint): Site[] {
    return this.#wanted.size === 0 ? [] : sites.filter((site) => this.wants(at(site)))
  }

  /** Keeps what a session gave out for a hook point, in whatever flattened shape, if it is wanted. */
  keep(point: HookPoint, tensor: OrtTensor): void {
    if (this.wants(point))
      this.kept.set(hookName(point), { shape: this.#shapeOf(point), data: floatData(tensor) })
  }

  /** Keeps zeros for a hook point that nothing was kept for. */
  keepZeros(point: HookPoint): void {
    const name = hookName(point)
    if (this.kept.has(name)) return
    const shape = this.#shapeOf(point)
    this.kept.set(name, { shape, data: new Float32Array(sizeOf(shape)) })
  }

  #shapeOf(point: HookPoint): number[] {
    const { batch, queries, past } = this.layout
    const run: Partial<Record<Dim, number>> = { batch, pos: queries, q_pos: queries, k_pos: past + queries }
    const sizes = hookSizes(this.spec, point)
    return hookDims(point).map((dim, axis) => run[dim] ?? sizes[axis] ?? 1)
  }
}
