/** Interventions against an implementation that goes through every element one by one. */
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { hookPointsOf } from '../../main/models/hook-points'
import { hookDims, hookName, isResidual, type HookPoint } from '../../preload/hooks'
import {
  intervention,
  runRequest,
  type InterventionInput,
  type RunRequestInput,
  type RunResult,
} from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { openReferenceModel, type ReferenceModel } from '../support/reference-model'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
const rows = [
  [5, 17, 99, 23, 42, 7],
  [140, 2, 64, 9],
  [1, 90, 33, 12, 8, 71],
]

let model: ReferenceModel
let points: HookPoint[]
let plain: RunResult

const run = (request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}): Promise<RunResult> =>
  model.run({
    request: runRequest.parse({ model: model.fingerprint, rows, logits: 'all', ...request }),
    tensors,
  })

beforeAll(async () => {
  model = await openReferenceModel(path.join(folder, 'llama'))
  points = hookPointsOf(model.spec)
  plain = await run({ captures: points.map(hookName) })
})
afterAll(() => model.close())

/** Row `row`'s activation at `index` (without the batch axis), changed as the intervention says. */
function naive(
  point: HookPoint,
  activation: Tensor,
  change: InterventionInput,
  tensors: Record<string, Tensor>,
): Tensor {
  const { rows: chosen, positions, heads, units, operation } = intervention.parse(change)
  const dims = hookDims(point)
  const data = activation.data.slice()
  const at = (shape: readonly number[], index: readonly number[]): number =>
    index.reduce((offset, i, axis) => offset * shape[axis] + i, 0)
  const each = (visit: (index: number[]) => void, index: number[] = []): void => {
    if (index.length === activation.shape.length) visit(index)
    else for (let i = 0; i < activation.shape[index.length]; i++) each(visit, [...index, i])
  }
  each((index) => {
    const row = index[0]
    if (chosen !== 'all' && !chosen.includes(row)) return
    const selected = dims.slice(1).map((dim, i) => {
      const place = index[i + 1]
      const list =
        dim === 'pos' || dim === 'q_pos'
          ? Array.isArray(positions)
            ? positions
            : positions === 'last'
              ? [rows[row].length - 1]
              : null
          : dim === 'head' || dim === 'kv_head'
            ? (heads ?? null)
            : i === dims.length - 2
              ? (units ?? null)
              : null
      return list === null ? place : list.indexOf(place)
    })
    if (selected.includes(-1)) return
    const offset = at(activation.shape, index)
    const value = (name: string): number => {
      const { shape, data } = tensors[name]
      const own = selected.slice(selected.length - shape.length)
      return data[
        at(
          shape,
          own.map((i, axis) => (shape[axis] === 1 ? 0 : i)),
        )
      ]
    }
    if (operation.kind === 'add') data[offset] += operation.scale * value(operation.value)
    if (operation.kind === 'replace') data[offset] = value(operation.value)
    if (operation.kind === 'scale') data[offset] *= operation.factor
    if (operation.kind === 'direction') {
      const width = activation.shape[2]
      const direction = tensors[operation.direction].data
      const length = Math.hypot(...direction)
      const start = offset - index[2]
      let along = 0
      for (let i = 0; i < width; i++) along += (activation.data[start + i] * direction[i]) / length
      data[offset] += ((operation.target - along) * direction[index[2]]) / length
    }
  })
  return { shape: activation.shape, data }
}

const noise = (shape: readonly number[], seed: number): Tensor => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    Math.sin(17 * seed + 3.1 * (i + 1)),
  ),
})

const subset = (size: number): fc.Arbitrary<number[]> =>
  fc.subarray([...Array(size).keys()], { minLength: 1 })

/** An intervention at `point`, with values of a shape that broadcasts to what it selects. */
function change(
  point: HookPoint,
  seed: number,
): fc.Arbitrary<{ input: InterventionInput; tensors: Record<string, Tensor> }> {
  const dims = hookDims(point).slice(1)
  const sizes = plain.captures[hookName(point)].shape.slice(1)
  const headAxis = dims.findIndex((dim) => dim === 'head' || dim === 'kv_head')
  const ofUnits = dims.at(-1) === 'k_pos' ? 4 : sizes[sizes.length - 1]
  return fc
    .record({
      rows: fc.oneof(fc.constant('all' as const), subset(rows.length)),
      positions: fc.oneof(fc.constantFrom('all' as const, 'last' as const, 'prompt' as const), subset(4)),
      heads:
        headAxis === -1 ? fc.constant(undefined) : fc.option(subset(sizes[headAxis]), { nil: undefined }),
      units: fc.option(subset(ofUnits), { nil: undefined }),
      kind: fc.constantFrom(
        ...(isResidual(point) ? ['add', 'replace', 'scale', 'direction'] : ['add', 'replace', 'scale']),
      ),
      dense: fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }),
    })
    .map(({ kind, dense, units, ...selection }) => {
      const { positions, heads } = selection
      const shape = dims.map((dim, axis) => {
        if (!dense[axis]) return 1
        if (dim === 'pos' || dim === 'q_pos') return Array.isArray(positions) ? positions.length : 1
        if (axis === headAxis) return heads?.length ?? sizes[axis]
        return axis === dims.length - 1 ? (units?.length ?? (dim === 'k_pos' ? 1 : sizes[axis])) : 1
      })
      const hook = hookName(point)
      const name = `v${seed}`
      if (kind === 'direction')
        return {
          input: {
            hook,
            ...selection,
            operation: { kind, direction: name, target: seed - 1 },
          },
          tensors: { [name]: noise([sizes[sizes.length - 1]], seed) },
        }
      const operation =
        kind === 'scale'
          ? { kind, factor: seed % 2 === 0 ? 0 : -0.5 }
          : kind === 'add'
            ? { kind, value: name, scale: 0.7 }
            : { kind, value: name }
      const all = { hook, ...selection, units, operation } as InterventionInput
      return { input: all, tensors: { [name]: noise(shape, seed) } }
    })
}

/** Numbers of real positions only, and −∞ as a number. */
const real = (point: HookPoint, tensor: Tensor): Tensor => {
  const dims = hookDims(point)
  const data = tensor.data.map((x, offset) => {
    let rest = offset
    const index = tensor.shape.map((_, axis) => axis)
    for (let axis = tensor.shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % tensor.shape[axis]
      rest = Math.floor(rest / tensor.shape[axis])
    }
    const padded = index.some(
      (i, axis) => ['pos', 'q_pos', 'k_pos'].includes(dims[axis]) && i >= rows[index[0]].length,
    )
    return padded ? 0 : x === -Infinity ? -1 : x
  })
  return { shape: tensor.shape, data }
}

const anyPoint = (): fc.Arbitrary<HookPoint> => fc.nat(points.length - 1).map((i) => points[i])

describe('interventions', () => {
  it('change what a naive implementation changes: rows, positions, heads, units, every operation', async () => {
    const property = fc.asyncProperty(
      anyPoint().chain((point) => change(point, 1).map((made) => ({ point, ...made }))),
      async ({ point, input, tensors }) => {
        const hook = hookName(point)
        const { captures } = await run({ interventions: [input], captures: [hook] }, tensors)
        const want = naive(point, plain.captures[hook], input, tensors)
        const masked = plain.captures[hook].data
        // Masked scores stay masked.
        const kept = {
          shape: want.shape,
          data: want.data.map((x, i) => (masked[i] === -Infinity ? -Infinity : x)),
        }
        expect(relativeError(real(point, captures[hook]), real(point, kept))).toBeLessThan(2e-6)
      },
    )
    await fc.assert(property, { numRuns: 120, seed: 7 })
  })

  it('several at one hook point act in their order', async () => {
    const property = fc.asyncProperty(
      anyPoint().chain((point) =>
        fc.tuple(change(point, 1), change(point, 2), change(point, 3)).map((changes) => ({ point, changes })),
      ),
      async ({ point, changes }) => {
        const hook = hookName(point)
        const tensors = Object.assign({}, ...changes.map((made) => made.tensors)) as Record<string, Tensor>
        const { captures } = await run(
          { interventions: changes.map(({ input }) => input), captures: [hook] },
          tensors,
        )
        const masked = plain.captures[hook].data
        const want = changes.reduce((x, { input }) => naive(point, x, input, tensors), plain.captures[hook])
        const kept = {
          shape: want.shape,
          data: want.data.map((x, i) => (masked[i] === -Infinity ? -Infinity : x)),
        }
        expect(relativeError(real(point, captures[hook]), real(point, kept))).toBeLessThan(5e-6)
      },
    )
    await fc.assert(property, { numRuns: 60, seed: 11 })
  })

  it('those at different hook points act together as one after the other', async () => {
    const first: InterventionInput = {
      hook: 'blocks.0.attn.hook_z',
      heads: [1, 3],
      operation: { kind: 'scale', factor: 0 },
    }
    const second: InterventionInput = {
      hook: 'blocks.1.hook_resid_mid',
      operation: { kind: 'add', value: 'v' },
    }
    const tensors = { v: noise([model.spec.dModel], 5) }
    const { captures } = await run({ interventions: [first], captures: ['blocks.1.hook_resid_mid'] })
    const mid = captures['blocks.1.hook_resid_mid']
    const moved: Tensor = {
      shape: mid.shape,
      data: mid.data.map((x, i) => x + tensors.v.data[i % model.spec.dModel]),
    }
    const both = await run({ interventions: [first, second] }, tensors)
    const replaced = await Promise.all(
      rows.map((tokens, row) => {
        const size = moved.data.length / rows.length
        const width = model.spec.dModel
        const value = {
          shape: [tokens.length, width],
          data: moved.data.slice(row * size, row * size + tokens.length * width),
        }
        return model.run({
          request: runRequest.parse({
            model: model.fingerprint,
            rows: [tokens],
            logits: 'last',
            interventions: [{ hook: 'blocks.1.hook_resid_mid', operation: { kind: 'replace', value: 'm' } }],
          }),
          tensors: { m: value },
        })
      }),
    )
    const vocab = model.spec.vocab
    for (const [row, tokens] of rows.entries()) {
      const start = (row * Math.max(...rows.map((r) => r.length)) + tokens.length - 1) * vocab
      const got = {
        shape: [vocab],
        data: both.logits?.data.slice(start, start + vocab) ?? new Float32Array(0),
      }
      expect(relativeError(got, replaced[row].logits ?? got)).toBeLessThan(5e-6)
    }
  })

  it('a pattern that is replaced is what the values are read with', async () => {
    const uniform: InterventionInput = {
      hook: 'blocks.0.attn.hook_pattern',
      heads: [2],
      operation: { kind: 'replace', value: 'p' },
    }
    const { captures } = await run(
      { interventions: [uniform], captures: ['blocks.0.attn.hook_z', 'blocks.0.attn.hook_v'] },
      { p: { shape: [1], data: Float32Array.of(0.5) } },
    )
    const z = captures['blocks.0.attn.hook_z']
    const v = captures['blocks.0.attn.hook_v']
    const [, pos, heads, width] = z.shape
    const kvHeads = v.shape[2]
    const head = Math.floor((2 * kvHeads) / heads)
    for (let i = 0; i < width; i++) {
      let sum = 0
      for (let k = 0; k < pos; k++) sum += 0.5 * v.data[(k * kvHeads + head) * width + i]
      expect(z.data[(3 * heads + 2) * width + i]).toBeCloseTo(sum, 4)
    }
  })

  it('a removed direction is gone, a clamped one has its target, and half of the way is half of it', async () => {
    const direction = noise([model.spec.dModel], 9)
    const length = Math.hypot(...direction.data)
    for (const hook of ['blocks.1.hook_resid_pre', 'blocks.0.hook_resid_mid', 'blocks.1.hook_resid_post'])
      for (const target of [0, 2.5]) {
        const along = async (amount: number): Promise<number> => {
          const operation = { kind: 'direction', direction: 'd', target, amount } as const
          const { captures } = await run(
            { interventions: [{ hook, operation }], captures: [hook] },
            { d: direction },
          )
          return captures[hook].data
            .slice(0, model.spec.dModel)
            .reduce((sum, x, i) => sum + (x * direction.data[i]) / length, 0)
        }
        expect(await along(1)).toBeCloseTo(target, 4)
        expect(await along(0.5)).toBeCloseTo(((await along(0)) + target) / 2, 4)
      }
  })
})
