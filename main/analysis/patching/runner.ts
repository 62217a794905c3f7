/**
 * The two ways to run sites: as waves on compiled blocks, or as rows of ordinary runs where there are none to work on (an
 * exported graph, a memory budget). Both give the same numbers.
 */
import type { PortsByHook } from '../../runtime/interventions'
import type { BaseRun } from '../../runtime/wave/base'
import type { Activations, PatchSite } from '../../runtime/wave/site'
import type { LogitRow } from './metric'

export interface PromptRequest {
  readonly tokens: readonly number[]
  readonly hooks: readonly string[]
  readonly ports?: PortsByHook
  /** Positions whose logits are wanted. */
  readonly reads: readonly number[]
  readonly signal?: AbortSignal
}

export interface PromptRun {
  readonly tokens: readonly number[]
  readonly ports: PortsByHook | undefined
  readonly activations: Activations
  /** All logits at each of the positions asked for. */
  readonly logits: readonly LogitRow[]
  /** What waves start from; null where there are none. */
  readonly base: BaseRun | null
}

export interface SitesRequest {
  readonly run: PromptRun
  readonly source: Activations
  /** Narrowed to what can matter. */
  readonly sites: readonly PatchSite[]
  readonly reads: readonly number[]
  /** Of whose logits all metrics are made; null for all. */
  readonly tokens: readonly number[] | null
  readonly signal?: AbortSignal
  /** Finished sites, by place in the list, each with its logits at the positions that are read. */
  readonly onBatch: (sites: readonly number[], logits: readonly (readonly LogitRow[])[]) => void
}

export interface SiteRunner {
  readonly way: 'wave' | 'runs'
  /** Runs prompts, those that can go together in one batch. */
  prompts(requests: readonly PromptRequest[]): Promise<PromptRun[]>
  sites(request: SitesRequest): Promise<void>
}

/** Runs requests together where they have one length and change nothing themselves. */
export async function inBatches(
  requests: readonly PromptRequest[],
  run: (batch: readonly PromptRequest[]) => Promise<PromptRun[]>,
): Promise<PromptRun[]> {
  const [{ tokens }] = requests
  if (requests.every((one) => one.ports === undefined && one.tokens.length === tokens.length))
    return run(requests)
  const runs: PromptRun[] = []
  for (const request of requests) runs.push(...(await run([request])))
  return runs
}
