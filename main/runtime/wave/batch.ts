/**
 * One wave: many sites as rows of one batch. A row joins at the block that its change reaches first and holds only the
 * positions from there on; each block runs once for all rows that have joined. Before a row's beginning the base run's keys
 * and values stand; of the last block only the positions that are read are computed to the end.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { hookName } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { throwIfCancelled } from '../cancelled'
import type { CompiledGraphs } from '../compiled'
import { layoutOf, SharedInputs } from '../layout'
import { floatData, floats, type Feeds } from '../session'
import { runLeased, runLeasedInto } from '../session-pool'
import type { BaseRun } from './base'
import { WaveColumns, type ReadToken } from './columns'
import { join, type Joined } from './join'
import { isLocal, replace, type Activations, type PatchSite } from './site'

export interface WaveInput {
  readonly base: BaseRun
  /** What sites are replaced by: hook name → activation as the base's. */
  readonly source: Activations
  /** Positions at which the residual stream behind the last block is wanted. */
  readonly reads: readonly number[]
}

interface Row {
  readonly site: PatchSite
  readonly index: number
  /** Block whose input differs first; the number of blocks where only the last output does. */
  readonly layer: number
  /** First position that differs. */
  readonly start: number
  /** Of its tokens among the wave's. */
  offset: number
}

export class WaveBatch {
  readonly #rows: Row[]
  readonly #columns: number
  readonly #blocks: number
  readonly #width: number
  readonly #flow: WaveColumns
  #joined = new Map<PatchSite, Joined>()
  readonly #finals: Float32Array[]

  /** @param sites narrowed to what can matter (see site.ts), so that each has a position */
  constructor(
    private readonly spec: TransformerSpec,
    private readonly graphs: CompiledGraphs,
    private readonly input: WaveInput,
    sites: readonly PatchSite[],
  ) {
    this.#blocks = spec.blocks.length
    this.#width = spec.dModel
    this.#columns = Math.max(...input.reads) + 1
    this.#rows = sites
      .map((site, index) => ({ site, index, layer: entryLayer(site), start: site.positions[0], offset: 0 }))
      .sort((a, b) => a.layer - b.layer || a.start - b.start)
    let offset = 0
    for (const row of this.#rows) {
      row.offset = offset
      offset += this.#columns - row.start
    }
    const inFlow = this.#rows.filter(({ layer }) => layer < this.#blocks)
    this.#flow = new WaveColumns(spec, inFlow, this.#columns, input.base.length, input.reads)
    this.#finals = sites.map(() => new Float32Array(input.reads.length * spec.dModel))
  }

  /** Residual stream behind the last block at the positions that are read, [reads, d_model], for each site. */
  async run(signal?: AbortSignal): Promise<Float32Array[]> {
    const rows = this.#rows
    const inFlow = rows.filter((row) => row.layer < this.#blocks)
    // Each block reads one of two arrays and writes the other; rows that join have their place behind those that are there.
    const size = this.#flow.tokens(inFlow.length) * this.#width
    let [x, y] = [new Float32Array(size), new Float32Array(size)]
    const first = Math.min(...rows.map(({ site, layer }) => (isInside(site) ? layer - 1 : layer)))
    let active = 0
    for (let layer = first; layer < this.#blocks; layer++) {
      throwIfCancelled(signal)
      for (; active < inFlow.length && inFlow[active].layer === layer; active++)
        this.#tokensAt(inFlow[active], inFlow[active].start, this.#tokensOf(inFlow[active], x))
      if (active > 0) {
        await this.#block(layer, active, x, y)
        ;[x, y] = [y, x]
      }
      await this.#joinAt(layer, signal)
    }
    for (const row of rows.slice(inFlow.length)) this.#finish(row)
    return this.#finals
  }

  /** The row's part of the wave's tokens. */
  #tokensOf({ start, offset }: Row, x: Float32Array): Float32Array {
    return x.subarray(offset * this.#width, (offset + this.#columns - start) * this.#width)
  }

  #shared(rows: number, columns: number): SharedInputs {
    const { length } = this.input.base
    // Some rotary scalings depend on the prompt's length, of which only a part may be computed.
    const layout = layoutOf(Array<number>(rows).fill(columns))
    return new SharedInputs({ ...layout, lengths: Array<number>(rows).fill(length) })
  }

  async #joinAt(layer: number, signal: AbortSignal | undefined): Promise<void> {
    const { spec, graphs } = this
    const sites = this.#rows
      .filter(({ site }) => isInside(site) && site.point.layer === layer)
      .map(({ site }) => site)
    if (sites.length === 0) return
    const { base, source } = this.input
    const shared = (rows: number): SharedInputs => this.#shared(rows, base.length)
    this.#joined = await join({ spec, graphs, base, source, shared, signal }, layer, sites)
  }

  /** The row's residual stream at the input of its first block, from position `from` on, as many as fit. */
  #tokensAt({ site, layer }: Row, from: number, target: Float32Array): void {
    const width = this.#width
    const begin = from * width
    const positions = { from, to: from + target.length / width }
    const base = this.input.base.residual(layer)
    const joined = this.#joined.get(site)
    target.set(base.subarray(begin, begin + target.length))
    if (joined !== undefined) {
      const own = new Set(site.positions)
      const local = isLocal(site.point)
      for (let position = positions.from; position < positions.to; position++)
        if (!local || own.has(position)) target.set(joined(position), position * width - begin)
      return
    }
    const name = hookName(site.point)
    const source = this.input.source.get(name)
    if (source === undefined) return
    const embeds = site.point.layer === null ? this.input.base.activations.get(name) : undefined
    replace(site, source, source.shape, (at, value) => {
      const place = at - begin
      if (place < 0 || place >= target.length) return
      // Embeddings are one of two parts of what enters the first block.
      if (embeds === undefined) target[place] = value
      else target[place] += value - embeds.data[at]
    })
  }

  /** Runs a block on the tokens of the first `active` rows, from x to y; of the last block only what is read is kept. */
  async #block(layer: number, active: number, x: Float32Array, y: Float32Array): Promise<void> {
    const { attention } = this.spec.blocks[layer]
    const { base } = this.input
    const columns = this.#columns
    const width = this.#width
    const tokens = this.#flow.tokens(active)
    const ofBase = (data: Float32Array): OrtTensor => {
      const size = attention.kvHeads * attention.headDim
      return floats(data.subarray(0, columns * size), [columns, size])
    }
    const feeds: Feeds = {
      resid: floats(x.subarray(0, tokens * width), [tokens, width]),
      base_k: ofBase(base.keys(layer)),
      base_v: ofBase(base.values(layer)),
    }
    if (layer < this.#blocks - 1) {
      Object.assign(feeds, this.#flow.whole(attention, active))
      const out = { resid_out: floats(y.subarray(0, tokens * width), [tokens, width]) }
      return runLeasedInto(await this.graphs.waves.block(layer, false), feeds, out)
    }
    const kept = this.#rows
      .slice(0, active)
      .flatMap(({ start, offset }, row): ReadToken[] =>
        this.input.reads.flatMap((position, read) =>
          position < start ? [] : [{ row, read, token: offset + position - start }],
        ),
      )
    Object.assign(feeds, this.#flow.trimmed(attention, active, kept))
    for (const row of this.#rows.slice(0, active)) this.#baseFinals(row)
    const out = await runLeased(await this.graphs.waves.block(layer, true), feeds, ['resid_out'])
    const data = floatData(out.resid_out)
    kept.forEach(({ row, read }, i) =>
      this.#finals[this.#rows[row].index].set(data.subarray(i * width, (i + 1) * width), read * width),
    )
  }

  /** Positions before a row's beginning end as in the base run. */
  #baseFinals(row: Row): void {
    const width = this.#width
    const final = this.input.base.residual(this.#blocks)
    this.input.reads.forEach((position, read) => {
      if (position < row.start)
        this.#finals[row.index].set(final.subarray(position * width, (position + 1) * width), read * width)
    })
  }

  /** A row that joins behind the last block. */
  #finish(row: Row): void {
    const width = this.#width
    this.input.reads.forEach((position, read) => {
      this.#tokensAt(row, position, this.#finals[row.index].subarray(read * width, (read + 1) * width))
    })
  }
}

/** Block whose input a site changes first. */
function entryLayer({ point }: PatchSite): number {
  if (point.layer === null) return 0
  return point.site === 'hook_resid_pre' ? point.layer : point.layer + 1
}

/** Whether a block's graph must be run with a port to have what follows from a site. */
const isInside = ({ point: { layer, site } }: PatchSite): boolean =>
  layer !== null && site !== 'hook_resid_pre' && site !== 'hook_resid_post'
