/** Sites as waves on compiled blocks; of the logits only those that the metrics need. */
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import type { BlockStack } from '../../runtime'
import { runBases } from '../../runtime/wave/base'
import { logitsOf, runWaves } from '../../runtime/wave/run'
import { rowsOf, type LogitRow } from './metric'
import { inBatches, type PromptRequest, type PromptRun, type SiteRunner, type SitesRequest } from './runner'
import type { PatchingModel } from './subject'

/** Logits that are held at a time, in numbers. */
const LOGITS = 2 ** 24
/** Tokens beyond which all logits cost no more. */
const FEW = 64

export class WaveRunner implements SiteRunner {
  readonly way = 'wave'

  constructor(
    private readonly stack: BlockStack,
    private readonly model: PatchingModel,
  ) {}

  prompts(requests: readonly PromptRequest[]): Promise<PromptRun[]> {
    return inBatches(requests, (batch) => this.#batch(batch))
  }

  async #batch(batch: readonly PromptRequest[]): Promise<PromptRun[]> {
    const [{ ports, signal }] = batch
    const rows = batch.map(({ tokens }) => tokens)
    const bases = await runBases(
      this.stack,
      rows,
      batch.flatMap(({ hooks }) => hooks),
      { ports, signal },
    )
    const width = this.stack.dModel
    const finals = batch.flatMap(({ reads }, i) => {
      const final = bases[i].residual(this.stack.spec.blocks.length)
      return reads.map((position) => final.subarray(position * width, (position + 1) * width))
    })
    const data = new Float32Array(finals.length * width)
    finals.forEach((final, i) => data.set(final, i * width))
    const logits = await this.#logits({ shape: [finals.length, width], data }, null, signal)
    let read = 0
    return batch.map(({ tokens, reads }, i) => {
      const own = logits.slice(read, read + reads.length)
      read += reads.length
      return { tokens, ports, activations: bases[i].activations, logits: own, base: bases[i] }
    })
  }

  async sites({ run, source, sites, reads, tokens, signal, onBatch }: SitesRequest): Promise<void> {
    if (run.base === null) throw new PatchbayError('internal', 'The base run was made for another way.')
    const few = tokens === null || new Set(tokens).size > FEW ? null : [...new Set(tokens)]
    const most = Math.max(1, Math.floor(LOGITS / (reads.length * (few?.length ?? this.stack.vocab))))
    await runWaves(this.stack, { base: run.base, source, reads }, sites, {
      signal,
      size: this.model.waveSize,
      onWave: async (places, { data }) => {
        const size = reads.length * this.stack.dModel
        for (let start = 0; start < places.length; start += most) {
          const part = places.slice(start, start + most)
          const rows = data.subarray(start * size, (start + part.length) * size)
          const all = await this.#logits(
            { shape: [part.length * reads.length, this.stack.dModel], data: rows },
            few,
            signal,
          )
          onBatch(
            part,
            part.map((_, i) => all.slice(i * reads.length, (i + 1) * reads.length)),
          )
        }
      },
    })
  }

  async #logits(rows: Tensor, few: readonly number[] | null, signal?: AbortSignal): Promise<LogitRow[]> {
    if (few === null) return rowsOf(await this.stack.unembed(rows, signal))
    const places = new Map(few.map((token, i) => [token, i]))
    const at = (token: number): number => places.get(token) ?? -1
    return rowsOf(await logitsOf(this.stack, rows, few)).map(({ logits }) => ({ logits, at }))
  }
}
