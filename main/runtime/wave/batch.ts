/**
 * One wave: many sites as rows of one batch. A row joins at the block that its change reaches first and holds only the
 * positions from there on; each block runs once for all rows that have joined. Before a row's beginning the base run's keys
 * and values stand; of the last block only the positions that are read are computed to the end.
 */
import { Tensor as OrtTensor } from 'onnxruntime-node'
import { hookName } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { throwIfCancelled } from '../cancelled'
import type { CompiledGraphs } from '../compiled'
import { layoutOf, SharedInputs } from '../layout'
import { floatData, floats, type Feeds } from '../session'
import { runLeased } from '../session-pool'
import type { BaseRun } from './base'
import { join, type Joined } from './join'
import { isLocal, offsetsOf, selectedAxes, type Activations, type PatchSite } from './site'

export interface WaveInput {
  readonly base: BaseRun
  /** What sites are replaced by: hook name → activation as the base's. */
  readonly source: Activations
  /** Positions at which the residual stream behind the last block is wanted. */
  readonly reads: readonly number[]
}

/** Which token each column is, and the rotary angles of all rows. */
interface ColumnFeeds {
  readonly queryAt: BigInt64Array
  readonly keyAt: BigInt64Array
  readonly columnOf: BigInt64Array
  /** By rotary embedding. */
  readonly angles: readonly {
    readonly half: number
    readonly cos: Float32Array
    readonly sin: Float32Array
  }[]
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
  readonly #one: SharedInputs
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
    this.#one = this.#shared(1, this.#columns)
    this.#finals = sites.map(() => new Float32Array(input.reads.length * spec.dModel))
  }

  /** Residual stream behind the last block at the positions that are read, [reads, d_model], for each site. */
  async run(signal?: AbortSignal): Promise<Float32Array[]> {
    const rows = this.#rows
    const inFlow = rows.filter((row) => row.layer < this.#blocks)
    let x: Float32Array = new Float32Array(0)
    const feeds = this.#columnFeeds(inFlow)
    const first = Math.min(...rows.map(({ site, layer }) => (isInside(site) ? layer - 1 : layer)))
    let active = 0
    for (let layer = first; layer < this.#blocks; layer++) {
      throwIfCancelled(signal)
      const entering = inFlow.slice(active).filter((row) => row.layer === layer)
      active += entering.length
      if (entering.length > 0) x = this.#entered(x, entering)
      if (active > 0) x = await this.#block(layer, active, x, feeds)
      await this.#joinAt(layer, signal)
    }
    for (const row of rows.slice(inFlow.length)) this.#finish(row)
    return this.#finals
  }

  /** Tokens of the first `count` rows. */
  #tokensOf(count: number): number {
    if (count === 0) return 0
    const last = this.#rows[count - 1]
    return last.offset + this.#columns - last.start
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

  /** The wave's tokens with those of rows that join behind them. */
  #entered(x: Float32Array, rows: readonly Row[]): Float32Array {
    const width = this.#width
    const last = rows[rows.length - 1]
    const all = new Float32Array((last.offset + this.#columns - last.start) * width)
    all.set(x)
    for (const row of rows) {
      const end = row.offset + this.#columns - row.start
      this.#tokensAt(row, row.start, all.subarray(row.offset * width, end * width))
    }
    return all
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
    for (const at of offsetsOf(selectedAxes(site, source.shape), source.shape)) {
      const place = at - begin
      if (place < 0 || place >= target.length) continue
      // Embeddings are one of two parts of what enters the first block.
      if (embeds === undefined) target[place] = source.data[at]
      else target[place] += source.data[at] - embeds.data[at]
    }
  }

  /** What is the same for every block. */
  #columnFeeds(rows: readonly Row[]): ColumnFeeds {
    const columns = this.#columns
    const queryAt = new BigInt64Array(rows.length * columns)
    const keyAt = new BigInt64Array(rows.length * columns)
    const columnOf = new BigInt64Array(this.#tokensOf(rows.length))
    rows.forEach(({ start, offset }, row) => {
      for (let column = 0; column < columns; column++) {
        const token = offset + column - start
        const own = column >= start
        queryAt[row * columns + column] = own ? BigInt(token) : 0n
        keyAt[row * columns + column] = BigInt(own ? columns + token : column)
        if (own) columnOf[token] = BigInt(row * columns + column)
      }
    })
    const angles = this.spec.ropes.map((rope) => {
      const { cos, sin } = this.#one.angles(rope)
      return { half: rope.dim / 2, cos: repeated(cos, rows.length), sin: repeated(sin, rows.length) }
    })
    return { queryAt, keyAt, columnOf, angles }
  }

  async #block(
    layer: number,
    active: number,
    x: Float32Array,
    { queryAt, keyAt, columnOf, angles }: ColumnFeeds,
  ): Promise<Float32Array> {
    const { attention } = this.spec.blocks[layer]
    const { base } = this.input
    const columns = this.#columns
    const width = this.#width
    const tokens = this.#tokensOf(active)
    const places = active * columns
    const ofBase = (data: Float32Array): OrtTensor => {
      const size = attention.kvHeads * attention.headDim
      return floats(data.subarray(0, columns * size), [columns, size])
    }
    const feeds: Feeds = {
      resid: floats(x, [tokens, width]),
      bias: this.#one.bias(attention),
      base_k: ofBase(base.keys(layer)),
      base_v: ofBase(base.values(layer)),
      query_at: indices(queryAt.subarray(0, places), [active, columns]),
      key_at: indices(keyAt.subarray(0, places), [active, columns]),
    }
    if (attention.rope !== null) {
      const { half, cos, sin } = angles[attention.rope]
      feeds.cos = floats(cos.subarray(0, places * half), [active, columns, half])
      feeds.sin = floats(sin.subarray(0, places * half), [active, columns, half])
    }
    if (layer < this.#blocks - 1) {
      feeds.column_of = indices(columnOf.subarray(0, tokens), [tokens])
      const out = await runLeased(await this.graphs.waves.block(layer, false), feeds, ['resid_out'])
      return floatData(out.resid_out)
    }
    const wanted = this.#rows
      .slice(0, active)
      .flatMap((row) =>
        this.input.reads.flatMap((position, read) =>
          position < row.start ? [] : [{ row, read, token: row.offset + position - row.start }],
        ),
      )
    const kept = BigInt64Array.from(wanted, ({ token }) => BigInt(token))
    feeds.kept = indices(kept, [kept.length])
    feeds.column_of = indices(
      BigInt64Array.from(wanted, ({ token }) => columnOf[token]),
      [kept.length],
    )
    for (const row of this.#rows.slice(0, active)) this.#baseFinals(row)
    const out = await runLeased(await this.graphs.waves.block(layer, true), feeds, ['resid_out'])
    const data = floatData(out.resid_out)
    wanted.forEach(({ row, read }, i) =>
      this.#finals[row.index].set(data.subarray(i * width, (i + 1) * width), read * width),
    )
    return data
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

const indices = (data: BigInt64Array, shape: readonly number[]): OrtTensor =>
  new OrtTensor('int64', data, shape)

function repeated(tensor: OrtTensor, times: number): Float32Array {
  const one = floatData(tensor)
  const all = new Float32Array(one.length * times)
  for (let i = 0; i < times; i++) all.set(one, i * one.length)
  return all
}
