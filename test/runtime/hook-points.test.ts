/** What must hold at every hook point of every kind of block. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hookDims, hookName, type HookPoint } from '../../preload/hooks'
import { runRequest, type InterventionInput, type RunRequestInput, type RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { hookPointsOf } from '../../main/models/hook-points'
import { relativeError } from '../../main/analysis/parity/case'
import { openReferenceModel, type ReferenceModel } from '../support/reference-model'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
/** float32, the same numbers in another order of summation */
const TOLERANCE = 5e-6

const rows = [
  [5, 17, 99, 23, 42, 7, 88, 3],
  [140, 2, 64, 9, 31],
]

describe.each(['llama', 'gpt2', 'mistral_sliding', 'gpt_oss', 'cohere', 'olmo2', 'gemma2', 'bloom'])(
  'in %s',
  (name) => {
    let model: ReferenceModel
    let points: HookPoint[]
    let plain: RunResult

    const run = (
      request: Partial<RunRequestInput>,
      tensors: Record<string, Tensor> = {},
    ): Promise<RunResult> =>
      model.run({ request: runRequest.parse({ model: model.fingerprint, rows, ...request }), tensors })
    const everything = (): string[] => points.map(hookName)

    beforeAll(async () => {
      model = await openReferenceModel(path.join(folder, name))
      points = hookPointsOf(model.spec)
      plain = await run({ captures: everything(), logits: 'all' })
    })
    afterAll(() => model.close())

    it('every hook point has the shape that its symbols say', () => {
      for (const point of points) {
        const { shape, data } = plain.captures[hookName(point)]
        expect(shape.length, hookName(point)).toBe(hookDims(point).length)
        expect(
          shape.reduce((a, b) => a * b, 1),
          hookName(point),
        ).toBe(data.length)
      }
    })

    it('a hook point has the same values in the graph of a changed block as beside a plain one', async () => {
      const interventions = allBlocks(model).map(noOp)
      const inGraph = await run({ captures: everything(), interventions, logits: 'all' })
      for (const hook of everything()) expectClose(inGraph.captures[hook], plain.captures[hook], hook)
      expectClose(inGraph.logits, plain.logits, 'logits')
    })

    it('a port that keeps everything and adds nothing changes nothing, at every hook point', async () => {
      for (const hook of everything()) {
        const { logits, captures } = await run({
          interventions: [noOp(hook)],
          captures: [hook],
          logits: 'all',
        })
        expectClose(logits, plain.logits, hook)
        expectClose(captures[hook], plain.captures[hook], hook)
      }
    })

    it('what is replaced is captured as replaced, and changes what comes after', async () => {
      // Replaced scores stay −∞ where masked, and rows of a pattern would no longer sum to 1: tested on their own.
      const ordinary = everything().filter((hook) => !/hook_(attn_scores|pattern)$/.test(hook))
      for (const hook of ordinary) {
        const width = plain.captures[hook].shape.at(-1) ?? 1
        const value: Tensor = { shape: [width], data: new Float32Array(width).fill(0.25) }
        const interventions: InterventionInput[] = [
          { hook, rows: [1], operation: { kind: 'replace', value: 'v' } },
        ]
        const { captures, logits } = await run(
          { interventions, captures: [hook], logits: 'all' },
          { v: value },
        )
        const changed = rowOf(captures[hook], 1)
        expect(
          changed.data.every((x) => x === 0.25),
          hook,
        ).toBe(true)
        expectClose(rowOf(captures[hook], 0), rowOf(plain.captures[hook], 0), hook)
        expectClose(rowOf(logits, 0), rowOf(plain.logits, 0), hook)
        expect(relativeError(rowOf(logits, 1), rowOf(plain.logits, 1)), hook).toBeGreaterThan(1e-4)
      }
    })

    it('a batch of rows of different lengths gives the numbers of single runs', async () => {
      for (const [row, tokens] of rows.entries()) {
        const single = await model.run({
          request: runRequest.parse({
            model: model.fingerprint,
            rows: [tokens],
            captures: everything(),
            logits: 'all',
          }),
          tensors: {},
        })
        for (const point of points) {
          const hook = hookName(point)
          expectClose(
            cut(point, rowOf(plain.captures[hook], row), tokens.length),
            rowOf(single.captures[hook], 0),
            hook,
          )
        }
        const vocab = model.spec.vocab
        const own = rowOf(plain.logits, row).data.subarray(0, tokens.length * vocab)
        expectClose({ shape: [], data: own }, single.logits, 'logits')
      }
    })

    it('a run that starts at a layer from its captured residual equals the whole run', async () => {
      const layers = model.spec.blocks.length
      for (let layer = 1; layer < layers; layer++) {
        const residual = plain.captures[`blocks.${layer}.hook_resid_pre`]
        const captures = everything().filter((hook) => hook.startsWith(`blocks.${layer}.`))
        const part = await run({ start: { layer, residual: 'r' }, captures, logits: 'all' }, { r: residual })
        expectClose(part.logits, plain.logits, `from ${layer}`)
        for (const hook of captures) expectClose(part.captures[hook], plain.captures[hook], hook)
      }
    })

    it('a run that stops before a layer gives its input', async () => {
      const { residual, logits } = await run({ stopLayer: 1 })
      expectClose(residual, plain.captures['blocks.1.hook_resid_pre'], 'residual')
      expect(logits).toBeNull()
    })

    it('the logits of the last positions are those among all', async () => {
      const { logits } = await run({ logits: 'last' })
      const vocab = model.spec.vocab
      for (const [row, tokens] of rows.entries()) {
        const end = tokens.length * vocab
        const want = rowOf(plain.logits, row).data.subarray(end - vocab, end)
        expectClose(rowOf(logits, row), { shape: [vocab], data: want }, `row ${row}`)
      }
    })
  },
)

/** A hook point inside every block, so that each must be compiled with a port. */
const allBlocks = (model: ReferenceModel): string[] =>
  model.spec.blocks.map((_, layer) => `blocks.${layer}.attn.hook_z`)

const noOp = (hook: string): InterventionInput => ({ hook, operation: { kind: 'scale', factor: 1 } })

function expectClose(got: Tensor | null | undefined, want: Tensor | null, what: string): void {
  expect(got?.data.length, what).toBe(want?.data.length)
  if (got === null || got === undefined || want === null) return
  expect(relativeError(finite(got), finite(want)), what).toBeLessThanOrEqual(TOLERANCE)
}

/** −∞ must be at the same places, which 0 minus a large number checks. */
const finite = ({ shape, data }: Tensor): Tensor => ({
  shape,
  data: data.map((x) => (x === -Infinity ? -1 : x)),
})

function rowOf(tensor: Tensor | null, row: number): Tensor {
  if (tensor === null) throw new Error('no tensor')
  const size = tensor.data.length / tensor.shape[0]
  return { shape: tensor.shape.slice(1), data: tensor.data.subarray(row * size, (row + 1) * size) }
}

/** The part of a padded row's activation that its `length` positions are: without padding on either position axis. */
function cut(point: HookPoint, { shape, data }: Tensor, length: number): Tensor {
  const dims = hookDims(point).slice(1)
  const kept = shape.map((size, axis) => (['pos', 'q_pos', 'k_pos'].includes(dims[axis]) ? length : size))
  const result: number[] = []
  const walk = (axis: number, offset: number): void => {
    if (axis === shape.length) {
      result.push(data[offset])
      return
    }
    for (let i = 0; i < kept[axis]; i++) walk(axis + 1, offset * shape[axis] + i)
  }
  walk(0, 0)
  return { shape: kept, data: Float32Array.from(result) }
}
