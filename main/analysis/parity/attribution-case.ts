/** A case of attribution: logit lens, direct attribution, patching (estimated and exact) and integrated gradients. */
import type { GroupName } from '../../../preload/certificate'
import {
  directions,
  type AttributionMetric,
  type PatchDirection,
  type PatchPlace,
  type TokenBaseline,
} from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { residualPoints } from '../../../preload/hooks'
import { runRequest } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import { directAttribution } from '../attribution/direct'
import { patch } from '../attribution/patch'
import { attributionPatching } from '../attribution/patching'
import type { AttributionModel } from '../attribution/subject'
import type { Runnable } from '../../runtime'
import { tokenAttribution, type TokensRequest } from '../attribution/tokens'
import { readCase, relativeError, type Case } from './case'
import type { CheckOptions } from './check'
import { GroupTable, type GroupResult } from './groups'

/**
 * Compares everything that the case holds and Patchbay can compute.
 * @throws PatchbayError `file.*` for a case that can not be read, and what runs throw
 */
export async function checkAttribution(
  model: AttributionModel & { readonly runnable: Runnable },
  folder: string,
  options: CheckOptions = {},
): Promise<GroupResult[]> {
  const reference = await readCase(folder)
  try {
    return await new AttributionCheck(model, reference, await reference.tokens('input_ids'), options).all()
  } finally {
    await reference.close()
  }
}

class AttributionCheck {
  readonly #table = new GroupTable()
  readonly #metric: AttributionMetric
  readonly #pair: { clean: readonly number[]; corrupt: readonly number[] }

  constructor(
    private readonly model: AttributionModel & { readonly runnable: Runnable },
    private readonly reference: Case,
    private readonly rows: readonly number[][],
    private readonly options: CheckOptions,
  ) {
    const { tokA, tokB, clean_row: clean, corrupt_row: corrupt } = reference.reference
    if (tokA === undefined || tokB === undefined || clean === undefined || corrupt === undefined)
      throw new PatchbayError('file.malformed', 'The reference does not say tokens and rows of its metric.', {
        next: 'Make the reference again.',
      })
    this.#metric = { kind: 'logit-difference', positive: tokA, negative: tokB, position: 'last' }
    this.#pair = { clean: rows[clean] ?? [], corrupt: rows[corrupt] ?? [] }
  }

  async all(): Promise<GroupResult[]> {
    const parts: [string, () => Promise<void>][] = [
      ['logit lens', () => this.#lens()],
      ['direct attribution', () => this.#direct()],
      ...directions.map((direction): [string, () => Promise<void>] => [
        `patching (${direction})`,
        () => this.#patching(direction),
      ]),
      ['integrated gradients', () => this.#tokens()],
    ]
    for (const [done, [what, part]] of parts.entries()) {
      this.options.onProgress?.(done, parts.length, what)
      await part()
    }
    this.options.onProgress?.(parts.length, parts.length, '')
    return this.#table.results()
  }

  /** Final norm, unembedding and soft-cap of every point of the residual stream, [point, batch, pos, d_vocab]. */
  async #lens(): Promise<void> {
    const points = residualPoints(this.model.facts.layers)
    const model = this.model.facts.fingerprint
    const { signal } = this.options
    const rows = this.rows
    const request = runRequest.parse({ model, rows, captures: points, logits: 'none' })
    const { captures } = await this.model.run({ request, tensors: {} }, { signal })
    const all: Tensor[] = []
    for (const point of points) {
      const start = { layer: points.length - 1, residual: 'residual' }
      const read = runRequest.parse({ model, rows, start, logits: 'all' })
      const { logits } = await this.model.run(
        { request: read, tensors: { residual: captures[point] } },
        { signal },
      )
      if (logits !== null) all.push(logits)
    }
    await this.#compare(
      'logit lens',
      'logit_lens',
      all.map(({ data }) => data),
    )
  }

  async #direct(): Promise<void> {
    if (this.#metric.kind !== 'logit-difference') return
    const { positive, negative, position } = this.#metric
    const results = []
    for (const tokens of this.rows)
      results.push(
        await directAttribution(
          this.model,
          { tokens, positive, negative, position },
          { signal: this.options.signal },
        ),
      )
    const compare = (name: string, parts: ArrayLike<number>[]): Promise<void> =>
      this.#compare('direct attribution', name, parts)
    await compare(
      'dla.heads',
      results.map(({ heads }) => heads.data),
    )
    await compare(
      'dla.attn_bias',
      results.map(({ attentionBias }) => attentionBias),
    )
    await compare(
      'dla.mlp',
      results.map(({ mlps }) => mlps),
    )
    await compare(
      'dla.embed',
      results.map(({ embedding }) => [embedding]),
    )
    await compare(
      'dla.total',
      results.map(({ total }) => [total]),
    )
    await compare('dla.constant', [[results[0].constant]])
    await compare(
      'final_norm.scale',
      results.map(({ scale }) => [scale ?? NaN]),
    )
    await compare(
      'metric',
      results.map(({ logit }) => [logit]),
    )
  }

  async #patching(direction: PatchDirection): Promise<void> {
    const { signal } = this.options
    const { layers, heads } = this.model.facts
    const request = { ...this.#pair, metric: this.#metric, direction }
    const estimate = await attributionPatching(
      this.model,
      { ...request, sites: ['resid_pre', 'z'], neurons: 1 },
      { signal },
    )
    const maps = { resid_pre: estimate.residPre, z: estimate.heads, z_by_position: estimate.headsByPosition }
    for (const [site, map] of Object.entries(maps))
      await this.#compare('attribution patching', `${direction}.${site}.estimate`, [map?.effect.data ?? []])

    const base = direction === 'noising' ? this.#pair.clean : this.#pair.corrupt
    const count = (length: number): number[] => Array.from({ length }, (_, i) => i)
    const residual = count(layers).flatMap((layer) =>
      base.map((_, at): PatchPlace => ({ hook: `blocks.${layer}.hook_resid_pre`, positions: [at] })),
    )
    const z = count(layers).flatMap((layer) =>
      count(heads).map((head): PatchPlace => ({ hook: `blocks.${layer}.attn.hook_z`, head })),
    )
    for (const [site, places] of Object.entries({ resid_pre: residual, z })) {
      const exact = await patch(this.model, { ...request, places }, { signal })
      const effects = exact.places.map(({ effect }) => effect)
      await this.#compare('exact patching', `${direction}.${site}.exact`, [effects])
    }
  }

  async #tokens(): Promise<void> {
    const steps = this.reference.reference.ig_steps ?? 1
    const zero: TokenBaseline = { kind: 'zero' }
    const other = (row: number): TokenBaseline => ({
      kind: 'prompt',
      tokens: [...this.rows[(row + 1) % this.rows.length]],
    })
    const results = async (change: (row: number) => Pick<TokensRequest, 'method' | 'baseline'>) => {
      const all = []
      for (const [row, tokens] of this.rows.entries()) {
        const request = { tokens, metric: this.#metric, steps, ...change(row) }
        all.push(await tokenAttribution(this.model, request, { signal: this.options.signal }))
      }
      return all
    }
    const compare = (name: string, parts: ArrayLike<number>[]): Promise<void> =>
      this.#compare('integrated gradients', name, parts)
    const products = await results(() => ({ method: 'gradient-input', baseline: zero }))
    await compare(
      'gradient_x_input',
      products.map(({ scores }) => scores),
    )
    const integrated = await results(() => ({ method: 'integrated-gradients', baseline: zero }))
    await compare(
      'ig.tokens',
      integrated.map(({ scores }) => scores),
    )
    await compare(
      'ig',
      integrated.map(({ scores }) => scores),
    )
    await compare(
      'ig.metric_at_input',
      integrated.map(({ metric }) => [metric]),
    )
    await compare(
      'ig.metric_at_baseline',
      integrated.map(({ baselineMetric }) => [baselineMetric ?? NaN]),
    )
    if (this.rows.length !== 2) return
    const fromOther = await results((row) => ({ method: 'integrated-gradients', baseline: other(row) }))
    await compare(
      'ig_from_other_row',
      fromOther.map(({ scores }) => scores),
    )
  }

  /** Compares a tensor with parts that follow each other in it; where the tensor has one axis more, with its sums over the last. */
  async #compare(group: GroupName, name: string, parts: readonly ArrayLike<number>[]): Promise<void> {
    if (!this.reference.names.includes(name)) return
    const want = await this.reference.tensor(name)
    const got = Float32Array.from(parts.flatMap((part) => Array.from(part)))
    const width = want.shape[want.shape.length - 1] ?? 1
    const summed = want.data.length === got.length * width && want.data.length !== got.length
    const compared: Tensor = summed ? sumsOverLast(want, width) : want
    this.#table.note(group, name, relativeError({ shape: compared.shape, data: got }, compared))
  }
}

function sumsOverLast({ shape, data }: Tensor, width: number): Tensor {
  const sums = Float32Array.from({ length: data.length / width }, (_, row) =>
    data.subarray(row * width, (row + 1) * width).reduce((sum, x) => sum + x, 0),
  )
  return { shape: shape.slice(0, -1), data: sums }
}
