/** What each source of the edge graph writes to the residual stream, and by how much that differs between two runs. */
import { PatchbayError } from '../../../../preload/errors'
import type { Tensor } from '../../../../preload/tensor'
import type { TransformerSpec } from '../../../models/spec'
import type { EdgeGraph } from './graph'
import type { HeadWriting } from './head-writing'

/** What sources of one prompt may take in memory, in bytes. */
const MAX_BYTES = 2 ** 29

/** Hook points that hold what sources write. */
export const sourceHooks = ({ blocks }: TransformerSpec): string[] => [
  'blocks.0.hook_resid_pre',
  ...blocks.flatMap((_, layer) => [`blocks.${layer}.attn.hook_result`, `blocks.${layer}.hook_mlp_out`]),
]

/** @throws PatchbayError `prompt.too-long` where the edges of a prompt would take too much memory */
export function checkSize({ sources }: EdgeGraph, { dModel }: TransformerSpec, positions: number): void {
  const bytes = sources.length * positions * dModel * 4
  if (bytes > MAX_BYTES)
    throw new PatchbayError(
      'prompt.too-long',
      `What ${sources.length} parts write at ${positions} positions would take ${Math.ceil(bytes / 2 ** 20)} MiB; edges are attributed up to ${MAX_BYTES / 2 ** 20} MiB.`,
      { next: 'Use shorter prompts.', field: 'clean' },
    )
}

/** Outputs of sources, [pos · d_model] each, as views into one array. */
export class SourceOutputs {
  readonly size: number
  private readonly data: Float32Array

  /** @param writings of each block's heads */
  constructor(
    private readonly graph: EdgeGraph,
    private readonly spec: TransformerSpec,
    private readonly writings: readonly HeadWriting[],
    private readonly positions: number,
  ) {
    this.size = positions * spec.dModel
    this.data = new Float32Array(graph.sources.length * this.size)
  }

  of(source: number): Float32Array {
    return this.data.subarray(source * this.size, (source + 1) * this.size)
  }

  /** Those of the first `count` sources, [count, pos · d_model]. */
  first(count: number): Float32Array {
    return this.data.subarray(0, count * this.size)
  }

  /** Sets all of them to `left` − `right`, two runs' activations at `sourceHooks`. */
  setDifference(left: Captures, right: Captures): void {
    const at = (hook: string): [Float32Array, Float32Array] => [left[hook].data, right[hook].data]
    this.setEmbedding(...at('blocks.0.hook_resid_pre'))
    this.spec.blocks.forEach((_, layer) => {
      this.setHeads(layer, ...at(`blocks.${layer}.attn.hook_result`))
      this.setMlp(layer, ...at(`blocks.${layer}.hook_mlp_out`))
    })
  }

  /** @param left,right [pos, d_model] */
  setEmbedding(left: Float32Array, right: Float32Array): void {
    this.setResidual(0, left, right)
  }

  /** @param left,right the heads' results in two runs, [pos, head, d_model] */
  setHeads(layer: number, left: Float32Array, right: Float32Array): void {
    const { dModel, blocks } = this.spec
    const { attention } = blocks[layer]
    const [here, there] = [left, right].map(this.writings[layer])
    for (let head = 0; head < attention.heads; head++) {
      const output = this.of(this.graph.before[layer] + head)
      for (let position = 0; position < this.positions; position++) {
        const from = (position * attention.heads + head) * dModel
        const to = position * dModel
        for (let i = 0; i < dModel; i++) output[to + i] = here[from + i] - there[from + i]
      }
    }
  }

  /** @param left,right [pos, d_model] */
  setMlp(layer: number, left: Float32Array, right: Float32Array): void {
    this.setResidual(this.graph.before[layer + 1] - 1, left, right)
  }

  private setResidual(source: number, left: Float32Array, right: Float32Array): void {
    const output = this.of(source)
    for (let i = 0; i < output.length; i++) output[i] = left[i] - right[i]
  }
}

export type Captures = Readonly<Record<string, Tensor>>
