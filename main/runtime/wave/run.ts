/** Many sites, wave after wave: as many tokens at a time as suit the machine, fewer where memory is short. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { throwIfCancelled } from '../cancelled'
import { floatData, floats, int64s } from '../session'
import { runLeased } from '../session-pool'
import type { BlockStack } from '../stack'
import { WaveBatch, type WaveInput } from './batch'
import { SiteQueue } from './queue'
import type { WaveSize } from './size'
import type { PatchSite } from './site'

export interface WaveOptions {
  readonly signal?: AbortSignal
  readonly size: WaveSize
  /**
   * Called with each finished wave: places in the list of sites, and their residual stream behind the last block,
   * [site, read, d_model].
   */
  readonly onWave: (sites: readonly number[], finals: Tensor) => Promise<void>
}

/** The first wave is small: what is wanted most is there soon. */
const FIRST = 256

/**
 * Runs sites as waves, in about the order given.
 * @param sites narrowed to what can matter (see site.ts)
 * @throws PatchbayError `run.cancelled` between blocks, `memory.exhausted` where a single site does not fit, `run.failed`
 */
export async function runWaves(
  stack: BlockStack,
  input: WaveInput,
  sites: readonly PatchSite[],
  { signal, size, onWave }: WaveOptions,
): Promise<void> {
  await size.load()
  const columns = Math.max(...input.reads) + 1
  const tokensOf = (place: number): number => columns - sites[place].positions[0]
  const queue = new SiteQueue(sites.length, tokensOf)
  for (let first = true; queue.tokens > 0;) {
    throwIfCancelled(signal)
    const next = size.next(queue.tokens)
    const wanted = first ? Math.min(FIRST, next) : next
    const wave = queue.take(wanted)
    const own = wave.map((place) => sites[place])
    const tokens = wave.reduce((sum, place) => sum + tokensOf(place), 0)
    const began = performance.now()
    try {
      const finals = await stack.onGraphs((graphs) =>
        new WaveBatch(stack.spec, graphs, input, own).run(signal),
      )
      await size.measured(
        wanted,
        tokens,
        workOf(own, columns, stack.spec.blocks.length),
        (performance.now() - began) / 1000,
      )
      await onWave(wave, stacked(finals, input.reads.length, stack.dModel))
      first = false
    } catch (error) {
      if (!(error instanceof PatchbayError) || error.code !== 'memory.exhausted' || wave.length === 1)
        throw error
      size.exhausted(tokens)
      queue.putBack(wave)
    }
  }
}

/** Tokens times blocks that a wave goes through; of the last block hardly anything is left. */
const workOf = (sites: readonly PatchSite[], columns: number, blocks: number): number =>
  sites.reduce(
    (sum, { point, positions }) => sum + (columns - positions[0]) * (blocks - 1 - (point.layer ?? 0)),
    0,
  )

function stacked(finals: readonly Float32Array[], reads: number, width: number): Tensor {
  const data = new Float32Array(finals.length * reads * width)
  finals.forEach((final, i) => data.set(final, i * reads * width))
  return { shape: [finals.length, reads, width], data }
}

/** Logits [rows, t] of the same few tokens for each row of a residual stream [rows, d_model], and of no others. */
export function logitsOf(stack: BlockStack, rows: Tensor, tokens: readonly number[]): Promise<Tensor> {
  const [count] = rows.shape
  return stack.onGraphs(async (graphs) => {
    const ids = Array.from({ length: count }, () => tokens).flat()
    const feeds = {
      resid: floats(rows.data, rows.shape),
      tokens: int64s(ids, [count, tokens.length]),
    }
    const { logits } = await runLeased(await graphs.waves.head(), feeds, ['logits'])
    return { shape: [count, tokens.length], data: floatData(logits) }
  })
}
