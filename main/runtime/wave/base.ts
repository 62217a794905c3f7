/** The run that a sweep changes in one place after another: what it left at every block's input, and its keys and values. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import type { ForwardRequest } from '../forward'
import type { BlockStack } from '../stack'
import type { Activations } from './site'

export interface BaseRun {
  /** Positions of the prompt. */
  readonly length: number
  readonly activations: Activations
  /** Input of block `layer` [pos, d_model]; for the number of blocks the last output. */
  residual(layer: number): Float32Array
  /** [pos, kv_head·d_head], before norm and rotary embedding. */
  keys(layer: number): Float32Array
  values(layer: number): Float32Array
}

/**
 * Runs prompts of one length and keeps what waves start from.
 * @param hooks canonical names of what is to be kept besides
 * @param ports what is changed in the run itself
 */
export async function runBases(
  stack: BlockStack,
  rows: readonly (readonly number[])[],
  hooks: Iterable<string>,
  { ports, signal }: Pick<ForwardRequest, 'ports' | 'signal'> = {},
): Promise<BaseRun[]> {
  const layers = stack.spec.blocks.length
  const at = (site: string): string[] => Array.from({ length: layers }, (_, i) => `blocks.${i}.${site}`)
  const last = `blocks.${layers - 1}.hook_resid_post`
  const names = [...at('hook_resid_pre'), last, ...at('attn.hook_k'), ...at('attn.hook_v'), ...hooks]
  const { captures } = await stack.forward({
    start: { kind: 'tokens', rows },
    captures: [...new Set(names)],
    ports,
    logits: 'none',
    signal,
  })
  return rows.map((tokens, row) => {
    const activations = rowOf(captures, row)
    const of = (name: string): Float32Array => {
      const found = activations.get(name)
      if (found === undefined) throw new PatchbayError('internal', `The base run did not give ${name}.`)
      return found.data
    }
    return {
      length: tokens.length,
      activations,
      residual: (layer) => of(layer === layers ? last : `blocks.${layer}.hook_resid_pre`),
      keys: (layer) => of(`blocks.${layer}.attn.hook_k`),
      values: (layer) => of(`blocks.${layer}.attn.hook_v`),
    }
  })
}

/** Captures of one row of a run whose rows have one length. */
export const rowOf = (captures: ReadonlyMap<string, Tensor>, row: number): Activations =>
  new Map(
    [...captures].map(([name, { shape, data }]) => {
      const size = data.length / shape[0]
      return [name, { shape: shape.slice(1), data: data.subarray(row * size, (row + 1) * size) }]
    }),
  )
