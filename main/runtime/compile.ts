/** Compiling a stack for a provider, and for the CPU where an accelerator was only tried. */
import { PatchbayError } from '../../preload/errors'
import type { Provider, ProviderChoice } from '../../preload/run'
import type { Lowering } from './graph/context'
import { chooseProvider } from './providers'

interface Compilable {
  readonly provider: Provider
  compile(signal?: AbortSignal, onProgress?: (done: number, total: number) => void): Promise<void>
  release(): Promise<void>
}

export interface CompileProgress {
  readonly signal?: AbortSignal
  /** Called when the provider is tested, and while parts are compiled, with 0 to 1. */
  readonly onProgress?: (stage: 'testing provider' | 'compiling', fraction: number) => void
}

export interface Compiled<Stack> {
  readonly stack: Stack
  readonly lowering: Lowering
  /** Why another provider than the chosen one computes, or null. */
  readonly note: string | null
}

/**
 * Makes a stack on the provider that was chosen. A model that an accelerator refuses (too large for it, an operator that it
 * lacks) may still run on the CPU: `auto` then takes that.
 * @throws PatchbayError `run.failed`, `memory.exhausted`, `run.cancelled`; what was made is released then
 */
export async function compileOn<Stack extends Compilable>(
  choice: ProviderChoice,
  make: (provider: Provider, lowering: Lowering) => Stack,
  { signal, onProgress }: CompileProgress,
): Promise<Compiled<Stack>> {
  onProgress?.('testing provider', 0)
  const { provider, note, lowering } = await chooseProvider(choice)
  try {
    return { stack: await compiled(provider), lowering, note }
  } catch (error) {
    if (choice !== 'auto' || provider === 'cpu' || !isProvidersFault(error)) throw error
    return { stack: await compiled('cpu'), lowering, note: `${provider} is not used: ${error.message}` }
  }

  async function compiled(on: Provider): Promise<Stack> {
    const stack = make(on, lowering)
    try {
      await stack.compile(signal, (done, total) => onProgress?.('compiling', total === 0 ? 1 : done / total))
      return stack
    } catch (error) {
      await stack.release()
      throw error
    }
  }
}

const isProvidersFault = (error: unknown): error is PatchbayError =>
  error instanceof PatchbayError && (error.code === 'run.failed' || error.code === 'memory.exhausted')
