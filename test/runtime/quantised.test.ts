/** Models whose matrices stay quantised compute what the dequantised ones do. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { codeFormats } from '../../main/models/formats/quants/codes'
import { hookPointsOf } from '../../main/models/hook-points'
import type { TransformerSpec } from '../../main/models/spec'
import { weight } from '../../main/models/weights'
import { GraphBuilder } from '../../main/onnx/builder'
import { allFused, weightsIn } from '../../main/runtime/graph/context'
import { linear, rowsOf } from '../../main/runtime/graph/linear'
import { loadModel, type LoadedModel } from '../../main/runtime/load'
import { placeWeights } from '../../main/runtime/placement'
import { generate } from '../../main/runtime/generate'
import { ReadoutHead } from '../../main/runtime/readout'
import { executeRun } from '../../main/runtime/request'
import { floatData, floats, int64s, Session } from '../../main/runtime/session'
import { WholeModel } from '../../main/runtime/whole'
import { Hooks } from '../../main/runtime/graph/hooks'
import { plainVariant } from '../../main/runtime/graph/variant'
import { hookName } from '../../preload/hooks'
import { generateRequest, runRequest, type Precision, type RunRequestInput } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { quantisedCheckpoint } from '../support/quantised-checkpoint'

const folder = path.join(import.meta.dirname, '../reference/cases/gguf')
const fingerprint = 'e'.repeat(64)
/** float32, the same numbers in another order of summation */
const TOLERANCE = 1e-5

let cacheDir: string
beforeAll(() => {
  cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-quantised-'))
})
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }))

describe('a quantised matrix', () => {
  const ROWS = 4
  const COLUMNS = 512
  let quants: Checkpoint
  beforeAll(async () => {
    quants = await openCheckpoint(path.join(folder, 'quants.gguf'))
  })
  afterAll(() => quants.close())

  it.each(Object.keys(codeFormats))(
    'in %s multiplies, gives rows and becomes dense as float32 does',
    async (type) => {
      const used = weight(`blk.0.${type.toLowerCase()}`, ROWS, COLUMNS)
      const head = { weight: used, bias: null, layout: 'out-in', inputs: COLUMNS, outputs: ROWS } as const
      const spec = {
        embedding: { tokens: used },
        unembedding: { head },
        blocks: [],
      } as unknown as TransformerSpec
      const placed = await placeWeights({
        checkpoint: quants,
        spec,
        fingerprint: type,
        precision: 'quantised',
        cacheDir,
      })
      expect(placed.quantised).toBe(true)
      const g = new GraphBuilder('matrix')
      const hooks = new Hooks(g, plainVariant())
      const context = { g, ...weightsIn(g, placed.add), hooks, lowering: allFused }
      const x = g.input('x', 'float32', ['tokens', COLUMNS])
      const ids = g.input('ids', 'int64', ['batch', 'pos'])
      g.output(linear(context, head, x), 'product')
      g.output(rowsOf(context, used, ids), 'rows')
      g.output(g.op('MatMul', [x, g.op('Transpose', [context.weight(used)], { perm: [1, 0] })], {}), 'dense')
      const session = await Session.create(g.finish(), {
        provider: 'cpu',
        folder: placed.folder,
        prepack: true,
      })

      const matrix = await quants.readFloat32(used.tensor)
      for (const tokens of [1, 3]) {
        const input = Float32Array.from({ length: tokens * COLUMNS }, (_, i) => Math.sin(3 * i))
        const out = await session.run(
          { x: floats(input, [tokens, COLUMNS]), ids: int64s([2, 0, 3, 2], [2, 2]) },
          ['product', 'rows', 'dense'],
        )
        const want = Float32Array.from({ length: tokens * ROWS }, (_, i) => {
          const token = Math.floor(i / ROWS) * COLUMNS
          const row = (i % ROWS) * COLUMNS
          let sum = 0
          for (let k = 0; k < COLUMNS; k++) sum += input[token + k] * matrix[row + k]
          return sum
        })
        expect(error(floatData(out.product), want)).toBeLessThan(TOLERANCE)
        expect(error(floatData(out.dense), want)).toBeLessThan(TOLERANCE)
        const rows = [2, 0, 3, 2].flatMap((i) => Array.from(matrix.subarray(i * COLUMNS, (i + 1) * COLUMNS)))
        expect(out.rows.dims).toEqual([2, 2, COLUMNS])
        expect(error(floatData(out.rows), Float32Array.from(rows))).toBeLessThan(1e-6)
      }
      await session.release()
    },
  )
})

const cases = [
  { name: 'llama', storage: 'Q4_1' },
  { name: 'llama', storage: 'Q4_0' },
  { name: 'gpt2', storage: 'Q4_1' },
  { name: 'gemma2', storage: 'Q8_0' },
  { name: 'mixtral', storage: 'Q4_1' },
] as const

describe.each(cases)('$name in $storage, kept quantised,', ({ name, storage }) => {
  const rows = [
    [5, 17, 99, 23, 42, 7, 88, 3],
    [140, 2, 64, 9, 31],
  ]
  let checkpoint: Checkpoint
  let spec: TransformerSpec
  let plain: LoadedModel
  let quantised: LoadedModel
  let everything: string[]

  const load = (precision: Precision): Promise<LoadedModel> =>
    loadModel({ checkpoint, spec, fingerprint: `${name}-${storage}`, provider: 'cpu', precision, cacheDir })
  const run = ({ stack }: LoadedModel, request: Partial<RunRequestInput>) =>
    executeRun(stack, {
      request: runRequest.parse({ model: fingerprint, rows, logits: 'all', ...request }),
      tensors: {},
    })

  beforeAll(async () => {
    checkpoint = await quantisedCheckpoint(await openCheckpoint(path.join(folder, `${name}.gguf`)), storage)
    spec = await readSpec(checkpoint)
    plain = await load('float32')
    quantised = await load('quantised')
    everything = hookPointsOf(spec).map(hookName)
  })
  afterAll(async () => {
    await plain.stack.release()
    await quantised.stack.release()
    await checkpoint.close()
  })

  it('takes less memory, in a file of its own', () => {
    expect(quantised.weights.quantised).toBe(true)
    expect(quantised.weights.bytes).toBeLessThan(0.75 * plain.weights.bytes)
    expect(readdirSync(cacheDir)).toContain(`${name}-${storage}.quantised.safetensors`)
  })

  it('has the activations of float32 at every hook point', async () => {
    const request = { captures: everything }
    const want = await run(plain, request)
    const got = await run(quantised, request)
    expectClose(got.logits, want.logits, 'logits')
    for (const hook of everything) expectClose(got.captures[hook], want.captures[hook], hook)
  })

  it('is changed at every hook point as float32 is', async () => {
    // A pattern whose every part is halved, as any other: the ports do not care what it means.
    for (const hook of everything) {
      const interventions = [{ hook, rows: [1], operation: { kind: 'scale', factor: 0.5 } as const }]
      const request = { interventions, captures: [hook] }
      const want = await run(plain, request)
      const got = await run(quantised, request)
      expectClose(got.captures[hook], want.captures[hook], hook)
      expectClose(got.logits, want.logits, hook)
    }
  })

  it('generates the same tokens', async () => {
    const request = generateRequest.parse({
      model: fingerprint,
      rows: rows.map((tokens) => ({ tokens })),
      maxTokens: 12,
      stopAtEos: false,
    })
    const [want, got] = await Promise.all(
      [plain, quantised].map(({ stack }) => generate(stack, { request, tensors: {} })),
    )
    expect(got.map(({ tokens }) => tokens)).toEqual(want.map(({ tokens }) => tokens))
  })

  it('reads out the same distributions, and is the same as one graph', async () => {
    const residuals: Tensor = {
      shape: [3, spec.dModel],
      data: Float32Array.from({ length: 3 * spec.dModel }, (_, i) => Math.sin(i)),
    }
    const read = async ({ weights, lowering, provider }: LoadedModel) => {
      const head = new ReadoutHead({ spec, weights, lowering, provider })
      const whole = await WholeModel.create(spec, weights, provider, lowering)
      try {
        return {
          readout: await head.read(residuals, { k: 5 }),
          divergence: await head.divergence(residuals, { ...residuals, data: residuals.data.toReversed() }),
          logits: await whole.feed(rows[0], false),
        }
      } finally {
        await head.release()
        await whole.release()
      }
    }
    const want = await read(plain)
    const got = await read(quantised)
    expect(got.readout.topIds).toEqual(want.readout.topIds)
    expect(error(got.readout.topLogProbs, want.readout.topLogProbs)).toBeLessThan(TOLERANCE)
    expect(error(got.divergence, want.divergence)).toBeLessThan(TOLERANCE)
    expect(error(got.logits, want.logits)).toBeLessThan(TOLERANCE)
  })
})

it('a model without block types can not be kept quantised, and says so', async () => {
  const checkpoint = await openCheckpoint(path.join(folder, 'llama.gguf'))
  const spec = await readSpec(checkpoint)
  await expect(
    placeWeights({ checkpoint, spec, fingerprint: 'plain', precision: 'quantised', cacheDir }),
  ).rejects.toMatchObject({ code: 'model.unsupported', field: 'precision' })
  await checkpoint.close()
})

const error = (got: Float32Array, want: Float32Array): number =>
  relativeError({ shape: [got.length], data: got }, { shape: [want.length], data: want })

/** −∞ must be at the same places. */
const finite = (data: Float32Array): Float32Array => data.map((x) => (x === -Infinity ? -1 : x))

function expectClose(got: Tensor | null | undefined, want: Tensor | null | undefined, what: string): void {
  if (!got || !want) throw new Error(`${what} is missing`)
  expect(error(finite(got.data), finite(want.data)), what).toBeLessThanOrEqual(TOLERANCE)
}
