/** One block after another on rows that each have something else changed in it: what a wave can not do, with several changes in a row. */
import type { Tensor } from '../../../preload/tensor'
import type { PortsByHook } from '../interventions'
import { floatData, floats } from '../session'
import { runLeased } from '../session-pool'
import type { BlockStack } from '../stack'
import type { CompiledGraphs } from '../compiled'

export interface BlockRows {
  /** Input of the block for each row, [pos, d_model]. */
  readonly rows: readonly Float32Array[]
  /** Inside this block and at its ends, laid out for these rows. */
  readonly ports: PortsByHook
  readonly captures?: readonly string[]
  readonly signal?: AbortSignal
}

/** Runs block `layer`. @returns its output for each row [pos, d_model], and captures [row, …] */
export async function throughBlock(
  stack: BlockStack,
  layer: number,
  { rows, ports, captures, signal }: BlockRows,
): Promise<{ rows: Float32Array[]; captures: ReadonlyMap<string, Tensor> }> {
  const [{ length: size }] = rows
  const positions = size / stack.dModel
  const data = new Float32Array(rows.length * size)
  rows.forEach((row, i) => data.set(row, i * size))
  const result = await stack.forward({
    start: {
      kind: 'residual',
      layer,
      residual: { shape: [rows.length, positions, stack.dModel], data },
      lengths: rows.map(() => positions),
    },
    stopLayer: layer + 1,
    captures,
    ports,
    logits: 'none',
    signal,
  })
  const out = result.residual.data
  return {
    rows: rows.map((_, i) => out.subarray(i * size, (i + 1) * size)),
    captures: result.captures,
  }
}

/**
 * What follows the heads of block `layer`, token by token: nothing of attention itself is run.
 * @param resid input of the block [tokens, d_model]
 * @param z outputs of its heads [tokens, head·d_head]
 * @returns output of the block [tokens, d_model]
 */
export async function throughTail(
  graphs: CompiledGraphs,
  layer: number,
  resid: Tensor,
  z: Tensor,
): Promise<Float32Array> {
  const feeds = { resid: floats(resid.data, resid.shape), z: floats(z.data, z.shape) }
  return floatData((await runLeased(await graphs.waves.tail(layer), feeds, ['resid_out'])).resid_out)
}
