/** Sites as rows of ordinary runs: what any model can do that runs at all, and what path patching is made of. */
import { PatchbayError } from '../../../preload/errors'
import { hookName } from '../../../preload/hooks'
import type { Tensor } from '../../../preload/tensor'
import type { ForwardRequest, Runnable } from '../../runtime'
import type { PortsByHook } from '../../runtime/interventions'
import type { PortValue } from '../../runtime/ports'
import { rowOf } from '../../runtime/wave/base'
import { replacing } from '../../runtime/wave/join'
import type { Activations, PatchSite } from '../../runtime/wave/site'
import { rowsOf, type LogitRow } from './metric'
import { inBatches, type PromptRequest, type PromptRun, type SiteRunner, type SitesRequest } from './runner'

/** Tokens in a run: few enough for any machine, many enough to fill it. */
const ROW_TOKENS = 512

export class RowRunner implements SiteRunner {
  readonly way = 'runs'
  #most = ROW_TOKENS

  constructor(private readonly runnable: Runnable) {}

  prompts(requests: readonly PromptRequest[]): Promise<PromptRun[]> {
    return inBatches(requests, (batch) => this.#batch(batch))
  }

  async #batch(batch: readonly PromptRequest[]): Promise<PromptRun[]> {
    const [{ ports, signal }] = batch
    const reads = [...new Set(batch.flatMap((request) => request.reads))]
    const start = { kind: 'tokens', rows: batch.map(({ tokens }) => tokens) } as const
    const captures = [...new Set(batch.flatMap(({ hooks }) => hooks))]
    const run = await runRows(this.runnable, { start, captures, ports, signal }, reads)
    return batch.map((request, row) => ({
      tokens: request.tokens,
      ports,
      activations: rowOf(run.captures, row),
      logits: request.reads.map((position) => run.logits[row][reads.indexOf(position)]),
      base: null,
    }))
  }

  async sites({ run, source, sites, reads, signal, onBatch }: SitesRequest): Promise<void> {
    const { tokens, ports } = run
    for (let start = 0; start < sites.length;) {
      const rows = sites.slice(start, start + Math.max(1, Math.floor(this.#most / tokens.length)))
      const request = {
        start: { kind: 'tokens', rows: rows.map(() => tokens) },
        ports: portsOf(
          rows.map((site) => [site]),
          source,
          ports,
        ),
        signal,
      } as const
      try {
        const { logits } = await runRows(this.runnable, request, reads)
        onBatch(
          rows.map((_, i) => start + i),
          logits,
        )
        start += rows.length
      } catch (error) {
        const scarce = error instanceof PatchbayError && error.code === 'memory.exhausted'
        if (!scarce || rows.length === 1) throw error
        this.#most = Math.floor((rows.length * tokens.length) / 2)
      }
    }
  }
}

/** A run of rows of one length, with their logits at the positions that are read, [row][read]. */
export async function runRows(
  runnable: Runnable,
  request: Omit<ForwardRequest, 'logits'>,
  reads: readonly number[],
): Promise<{ captures: ReadonlyMap<string, Tensor>; logits: LogitRow[][] }> {
  const { start } = request
  const lengths = start.kind === 'tokens' ? start.rows.map((row) => row.length) : start.lengths
  const [length] = lengths
  const last = reads.every((position) => position === length - 1)
  const { captures, logits } = await runnable.forward({ ...request, logits: last ? 'last' : 'all' })
  if (logits === null) throw new PatchbayError('internal', 'The run gave no logits.')
  const all = rowsOf(logits)
  const columns = last ? 1 : length
  return {
    captures,
    logits: lengths.map((_, row) => reads.map((position) => all[row * columns + (last ? 0 : position)])),
  }
}

/**
 * Ports of a batch in which each row has its own sites replaced.
 * @param before what is changed in all rows anyway
 */
export function portsOf(
  rows: readonly (readonly PatchSite[])[],
  source: Activations,
  before: PortsByHook = new Map(),
): PortsByHook {
  const ports = new Map<string, PortValue[]>([...before].map(([hook, values]) => [hook, [...values]]))
  const points = new Map(rows.flat().map(({ point }) => [hookName(point), point]))
  for (const [hook, point] of points) {
    const own = rows.map((sites) => sites.filter((site) => hookName(site.point) === hook))
    ports.set(hook, [...(ports.get(hook) ?? []), replacing(point, own, source)])
  }
  return ports
}
