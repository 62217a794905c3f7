/**
 * Other ways to the numbers of an open model, for self-checks: decoding on cached keys and values, the model as one graph,
 * and the same stack on the CPU. What they need beyond the open sessions is compiled when it is asked for.
 */
import type { RunInput, RunResult } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import {
  BlockStack,
  decodeGiven,
  executeRun,
  WholeModel,
  type LoadedExport,
  type LoadedModel,
} from '../../runtime'
import type { RunOptions } from '../subject'

export interface WholeOpinion {
  /** Logits [d_vocab] behind the last of some tokens. */
  logits(tokens: readonly number[]): Promise<Float32Array>
  release(): Promise<void>
}

export interface StackOpinion {
  compute(input: RunInput, options?: RunOptions): Promise<RunResult>
  release(): Promise<void>
}

export interface SecondOpinions {
  /** Logits behind tokens from−1 … n−1, [n − from + 1, d_vocab], the tokens from `from` on fed one at a time. */
  decode(tokens: readonly number[], from: number, signal?: AbortSignal): Promise<Tensor>
  /** The model as one graph, on the same provider; null where it must not be compiled again. */
  whole: (() => Promise<WholeOpinion>) | null
  /** The stack on the CPU; null where the CPU computes already, and where it must not be compiled again. */
  onCpu: ((signal?: AbortSignal) => Promise<StackOpinion>) | null
  /** Why it must not be compiled again, or null. */
  leftOut: string | null
}

/** An exported graph is not compiled a second time; it can still be decoded token by token. */
export const exportOpinions = ({ stack }: LoadedExport): SecondOpinions => ({
  decode: (tokens, from, signal) => decodeGiven(stack, tokens, from, signal),
  whole: null,
  onCpu: null,
  leftOut: 'the graph was exported by somebody else.',
})

export function secondOpinions(loaded: LoadedModel): SecondOpinions {
  const { stack, weights, lowering, provider, memoryBudget } = loaded
  const again = memoryBudget === null
  return {
    decode: (tokens, from, signal) => decodeGiven(stack, tokens, from, signal),
    whole: again ? whole : null,
    onCpu: again && provider !== 'cpu' ? onCpu : null,
    leftOut: again ? null : 'the model is open under a memory budget.',
  }

  async function whole(): Promise<WholeOpinion> {
    // A few runs are not worth a second copy of the weights.
    const model = await WholeModel.create(stack.spec, weights, provider, lowering, false)
    return { logits: (tokens) => model.feed(tokens, false), release: () => model.release() }
  }

  async function onCpu(signal?: AbortSignal): Promise<StackOpinion> {
    const other = new BlockStack({ spec: stack.spec, weights, provider: 'cpu', lowering })
    try {
      await other.compile(signal)
    } catch (error) {
      await other.release()
      throw error
    }
    return {
      compute: (input, options) => executeRun(other, input, options),
      release: () => other.release(),
    }
  }
}
