/**
 * The way back through graphs that others exported: against PyTorch's float64 gradients of the checkpoints, and at every
 * hook point, for every metric and through changes, against the same checkpoint run by Patchbay's own graphs.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readCase, relativeError, type Case } from '../../../main/analysis/parity/case'
import { executeRun } from '../../../main/runtime/request'
import { Session } from '../../../main/runtime/session'
import type { MetricInput } from '../../../preload/metric'
import { runRequest, type RunInput, type RunRequestInput } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import {
  checkpointOf,
  exportFile,
  exportNames,
  openExportedModel,
  type ExportedModel,
} from '../../support/exported-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'
import { modelBytes, node, value } from '../../support/onnx-model'
import { BLOCKS, tinyDecoder, type DecoderStyle } from '../../support/tiny-decoder'
import { flat, rows, run, useExports } from '../../support/use-exports'

/** float32 against float64 (see `patchbay verify`). */
const AGAINST_FLOAT64 = 5e-4
/** Two ways in float32. */
const AGAINST_OWN = 2e-5

describe.each(exportNames)('%s', (name) => {
  let model: ExportedModel
  let reference: Case
  let original: ReferenceModel
  let rows: number[][]

  beforeAll(async () => {
    model = await openExportedModel(exportFile(name))
    reference = await readCase(checkpointOf(name))
    original = await openReferenceModel(checkpointOf(name))
    rows = await reference.tokens('input_ids')
  })

  afterAll(async () => {
    await model.close()
    await reference.close()
    await original.close()
  })

  const input = (request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}): RunInput => ({
    request: runRequest.parse({ model: model.fingerprint, rows, logits: 'none', ...request }),
    tensors,
  })
  const both = async (request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}) => ({
    mine: await model.run(input(request, tensors)),
    theirs: await original.run(input(request, tensors)),
  })
  const difference: MetricInput = { kind: 'logit-difference', positive: [20], negative: [57] }

  /** Every gradient and every metric of two runs. */
  function expectSame({ mine, theirs }: Awaited<ReturnType<typeof both>>): void {
    expect(relativeError(mine.metric ?? nothing, theirs.metric ?? nothing)).toBeLessThan(AGAINST_OWN)
    expect(Object.keys(mine.gradients).length).toBeGreaterThan(0)
    for (const [hook, got] of Object.entries(mine.gradients)) {
      const want = theirs.gradients[hook]
      expect([hook, got.shape]).toEqual([hook, want.shape])
      expect([hook, relativeError(got, want) < AGAINST_OWN ? 'close' : relativeError(got, want)]).toEqual([
        hook,
        'close',
      ])
    }
  }
  const nothing: Tensor = { shape: [0], data: new Float32Array(0) }

  it('gives PyTorch’s float64 gradients', async () => {
    const { tokA = 0, tokB = 0 } = reference.reference
    const hooks = reference.names.flatMap((each) => (each.startsWith('grad.') ? [each.slice(5)] : []))
    const { gradients } = await model.run(
      input({
        backward: { metric: { kind: 'logit-difference', positive: [tokA], negative: [tokB] }, hooks },
      }),
    )
    expect(hooks.length).toBeGreaterThan(3)
    for (const hook of hooks) {
      const error = relativeError(gradients[hook], await reference.tensor(`grad.${hook}`))
      expect([hook, error < AGAINST_FLOAT64 ? 'close' : error]).toEqual([hook, 'close'])
    }
  })

  it('gives the gradients of the checkpoint’s own graphs at every recognised hook point', async () => {
    expectSame(await both({ backward: { metric: difference, hooks: [...model.plan.names] } }))
  })

  it('differentiates every metric, in rows of different length, with logits and captures beside', async () => {
    const vocab = model.stack.vocab
    const even = { shape: [vocab], data: new Float32Array(vocab).fill(1 / vocab) }
    const width = model.stack.dModel
    const along = { shape: [width], data: Float32Array.from({ length: width }, (_, i) => Math.cos(i)) }
    const metrics: MetricInput[] = [
      { kind: 'log-probability', token: 7 },
      { kind: 'logit-difference', positive: [1, 2], negative: [3], position: 2 },
      { kind: 'continuation', from: 3 },
      { kind: 'cross-entropy' },
      { kind: 'kl', target: 'even' },
      { kind: 'kl', target: 'even', direction: 'model-target', position: 1 },
      { kind: 'projection', hook: 'blocks.1.hook_resid_post', direction: 'along' },
      { kind: 'projection', hook: 'blocks.1.hook_resid_pre', direction: 'along', positions: 'last' },
      { kind: 'projection', hook: 'blocks.1.hook_mlp_out', direction: 'along', positions: [1, 3] },
    ]
    const uneven = [rows[0], rows[1].slice(0, 6)]
    const hooks = ['hook_embed', 'blocks.0.attn.hook_z', 'blocks.1.hook_resid_pre', 'blocks.0.hook_mlp_out']
    const captures = ['blocks.0.hook_attn_out']
    for (const metric of metrics)
      for (const logits of ['last', 'none'] as const) {
        const results = await both(
          { rows: uneven, backward: { metric, hooks }, captures, logits },
          { even, along },
        )
        expectSame(results)
        const { mine, theirs } = results
        const [got, want] = [mine, theirs].map((result) => result.captures[captures[0]])
        expect(relativeError(got, want)).toBeLessThan(AGAINST_OWN)
        expect(mine.logits?.shape).toEqual(theirs.logits?.shape)
        if (mine.logits !== null && theirs.logits !== null)
          expect(relativeError(mine.logits, theirs.logits)).toBeLessThan(AGAINST_OWN)
      }
  })

  it('gives the gradients of the run as it is changed, between blocks and inside', async () => {
    const hooks = ['hook_embed', 'blocks.0.hook_resid_pre', 'blocks.0.attn.hook_z', 'blocks.1.hook_resid_pre']
    const width = model.stack.dModel
    const direction = {
      shape: [width],
      data: Float32Array.from({ length: width }, (_, i) => Math.sin(i + 1)),
    }
    const interventions: RunRequestInput['interventions'] = [
      { hook: 'blocks.1.hook_resid_pre', rows: [0], operation: { kind: 'direction', direction: 'd' } },
      { hook: 'blocks.0.hook_resid_post', positions: [3], operation: { kind: 'scale', factor: 0.5 } },
      { hook: 'blocks.0.attn.hook_z', heads: [1], operation: { kind: 'scale', factor: 0 } },
      { hook: 'blocks.1.hook_mlp_out', operation: { kind: 'scale', factor: -1 } },
    ]
    const plain = await model.run(input({ backward: { metric: difference, hooks } }))
    const results = await both({ interventions, backward: { metric: difference, hooks } }, { d: direction })
    expectSame(results)
    for (const hook of hooks)
      expect(relativeError(results.mine.gradients[hook], plain.gradients[hook])).toBeGreaterThan(1e-2)
  })

  it('goes back to a residual stream that the run started from', async () => {
    const hook = 'blocks.1.hook_resid_pre'
    const backward = { metric: difference, hooks: [hook, 'blocks.1.attn.hook_z'] }
    const { captures, gradients } = await model.run(input({ captures: [hook], backward }))
    const residual = { shape: [...captures[hook].shape], data: captures[hook].data.slice() }
    const rest = await model.run(input({ start: { layer: 1, residual: 'residual' }, backward }, { residual }))
    for (const each of backward.hooks)
      expect(relativeError(rest.gradients[each], gradients[each])).toBeLessThan(AGAINST_OWN)
    await expect(
      model.run(
        input(
          {
            start: { layer: 1, residual: 'residual' },
            backward: { metric: difference, hooks: ['hook_embed'] },
          },
          { residual },
        ),
      ),
    ).rejects.toMatchObject({ code: 'hook.unavailable', field: 'hook_embed' })
  })

  it('gives the gradients of parameters that have kept their names, tied ones summed', async () => {
    // An exporter may wrap the model in one of its own, and names what it transposed itself.
    const ownName = new Map(
      model.parameters.flatMap((each): [string, string][] => {
        const found = [each, each.replace(/^m\./, '')].find((known) => original.parameters.includes(known))
        return found === undefined ? [] : [[each, found]]
      }),
    )
    const backward = { metric: difference, hooks: ['blocks.1.hook_resid_pre'] }
    const mine = await model.run(input({ backward: { ...backward, weights: [...ownName.keys()] } }))
    const theirs = await original.run(input({ backward: { ...backward, weights: [...ownName.values()] } }))
    expect(ownName.size).toBeGreaterThan(3)
    for (const [each, known] of ownName) {
      const [got, want] = [mine.weightGradients[each], theirs.weightGradients[known]]
      expect([each, got.shape]).toEqual([each, want.shape])
      const error = relativeError(got, want)
      expect([each, error < AGAINST_OWN ? 'close' : error]).toEqual([each, 'close'])
    }
  })
})

/** Tokens to logits through an operator that has no gradient. */
const hardened = (): Uint8Array =>
  modelBytes({
    node: [
      node('Gather', ['table', 'ids'], ['e']),
      node('CumSum', ['e', 'axis'], ['h']),
      node('Tanh', ['h'], ['u']),
      node('MatMul', ['u', 'head'], ['logits']),
    ],
    initializer: [
      matrix('table', [9, 4]),
      matrix('head', [4, 9]),
      { name: 'axis', dims: [], dataType: 7, int64Data: [2n] },
    ],
    input: [value('ids', ['batch', 'pos'], 7)],
    output: [value('logits', ['batch', 'pos', 9], 1)],
  })

const matrix = (name: string, dims: readonly number[]) => ({
  name,
  dims: dims.map(BigInt),
  dataType: 1,
  floatData: Array.from({ length: dims[0] * dims[1] }, (_, i) => Math.sin(i)),
})

describe('decoders as exporters write them', () => {
  const { open } = useExports()
  const difference: MetricInput = { kind: 'logit-difference', positive: [4], negative: [9] }

  it.each<[string, DecoderStyle]>([
    ['in operator set 11', { opset: 11, projections: 'fused-split', mlp: 'gated-fused' }],
    ['with parallel sublayers', { topology: 'parallel', projections: 'fused-gather' }],
    ['optimised by ONNX Runtime', { skipNorms: true, attention: 'multi-head' }],
    ['with ONNX’s own attention', { attention: 'onnx', opset: 23, mlp: 'gated' }],
    ['with experts and norms on what is added', { mlp: 'experts', postNorms: true, padded: true }],
  ])('%s have the slopes of their metric as gradients', async (_, style) => {
    const model = await open(tinyDecoder(style))
    const hooks = model.plan.names.filter((hook) => /resid|_out$|hook_z|hook_embed/.test(hook))
    const { gradients } = await run(model, { backward: { metric: difference, hooks }, logits: 'none' })
    const at = async (hook: string, step: number): Promise<number> => {
      const gradient = gradients[hook]
      const value = { shape: gradient.shape.slice(1), data: gradient.data.map((x) => x * step) }
      const { logits } = await run(
        model,
        { logits: 'last', interventions: [{ hook, operation: { kind: 'add', value: 'value' } }] },
        { value },
      )
      return (logits?.data[4] ?? NaN) - (logits?.data[9] ?? NaN)
    }
    for (const hook of hooks) {
      const square = gradients[hook].data.reduce((sum, x) => sum + x * x, 0)
      // Along the gradient the metric rises by its square.
      const step = 1e-2 / Math.sqrt(square)
      const slope = ((await at(hook, step)) - (await at(hook, -step))) / (2 * step)
      expect([hook, Math.abs(slope / square - 1) < 2e-2 ? 'close' : slope / square]).toEqual([hook, 'close'])
    }
  })

  it('are differentiated whole where they can not be cut, at values by their own names', async () => {
    const model = await open(flat(['batch', 'pos']))
    const hooks = ['value:e', 'value:t']
    const result = await run(model, {
      rows: rows.map((row) => row.map((id) => id % 9)),
      backward: {
        metric: { kind: 'logit-difference', positive: [4], negative: [2] },
        hooks,
        weights: ['head'],
      },
      captures: hooks,
      logits: 'last',
    })
    const { captures, gradients, weightGradients, metric, logits } = result
    expect(model.plan.whole).not.toBeNull()
    for (const at of [0, 1]) {
      const [four, two] = [4, 2].map((token) => logits?.data[9 * at + token] ?? NaN)
      expect(metric?.data[at]).toBeCloseTo(four - two, 6)
    }
    const [row, pos, width] = [1, 3, 4]
    const t = captures['value:t'].data
    const head = (i: number, token: number): number => Math.cos(9 * i + token)
    for (let i = 0; i < width; i++) {
      const place = (row * 6 + pos) * width + i
      expect(gradients['value:t'].data[place]).toBeCloseTo(head(i, 4) - head(i, 2), 5)
      expect(gradients['value:e'].data[place]).toBeCloseTo((1 - t[place] ** 2) * (head(i, 4) - head(i, 2)), 5)
      // Both rows' last positions, 5 and 3.
      expect(weightGradients.head.data[9 * i + 4]).toBeCloseTo(t[5 * width + i] + t[place], 5)
      expect(weightGradients.head.data[9 * i + 2]).toBeCloseTo(-t[5 * width + i] - t[place], 5)
    }
    expect(gradients['value:t'].data.slice(4 * width * 6 * 0, 5 * width).every((x) => x === 0)).toBe(true)
  })

  it('name an operator without a rule before anything runs', async () => {
    const model = await open(hardened())
    const forward = vi.spyOn(Session.prototype, 'run')
    const backward = { metric: { ...difference, positive: [4], negative: [2] }, hooks: ['value:e'] }
    await expect(run(model, { rows: [[1, 2]], backward })).rejects.toMatchObject({
      code: 'model.unsupported',
      message: expect.stringContaining('CumSum') as string,
      field: 'CumSum',
    })
    expect(forward).not.toHaveBeenCalled()
    // What lies behind it has gradients.
    const { gradients } = await run(model, { rows: [[1, 2]], backward: { ...backward, hooks: ['value:u'] } })
    expect(gradients['value:u'].shape).toEqual([1, 2, 4])
  })

  it('refuse what they can not tell: parameters that are not there or are no floats, and a metric’s past', async () => {
    const model = await open(tinyDecoder())
    const ask = (backward: RunRequestInput['backward']) =>
      run(model, { backward, logits: 'none' }, { d: ones })
    const ones = { shape: [1], data: Float32Array.of(1) }
    await expect(ask({ metric: difference, weights: ['no such'] })).rejects.toMatchObject({
      code: 'input.invalid',
      field: 'backward.weights',
    })
    const whole = model.parameters.find((each) => model.plan.recognition.view.type(each) === 'int64') ?? ''
    await expect(ask({ metric: difference, weights: [whole] })).rejects.toMatchObject({
      code: 'model.unsupported',
      field: 'backward.weights',
      message: expect.stringContaining('int64') as string,
    })
    await expect(
      ask({
        metric: { kind: 'projection', hook: 'blocks.0.hook_mlp_out', direction: 'd' },
        hooks: ['blocks.1.hook_resid_pre'],
      }),
    ).rejects.toMatchObject({ code: 'hook.unavailable', field: 'blocks.1.hook_resid_pre' })
    await expect(ask({ metric: { kind: 'log-probability', token: 10_000 } })).rejects.toMatchObject({
      code: 'input.invalid',
    })
  })

  it('report their parts and keep their sessions', async () => {
    const model = await open(tinyDecoder())
    const seen: string[] = []
    const hooks = ['blocks.0.hook_resid_pre']
    const request = runRequest.parse({
      model: model.fingerprint,
      rows: [rows[0]],
      logits: 'none',
      backward: { metric: difference, hooks },
    })
    const onProgress = (done: number, total: number): number => seen.push(`${done}/${total}`)
    await executeRun(model.stack, { request, tensors: {} }, { onProgress })
    const sessions = model.stack.sessions
    expect(seen.at(-1)).toBe(`${2 * BLOCKS + 1}/${2 * BLOCKS + 1}`)
    await executeRun(model.stack, { request, tensors: {} })
    expect(model.stack.sessions).toBe(sessions)
    const controller = new AbortController()
    const cancelled = executeRun(
      model.stack,
      { request, tensors: {} },
      { signal: controller.signal, onProgress: (done) => done === BLOCKS && controller.abort() },
    )
    await expect(cancelled).rejects.toMatchObject({ code: 'run.cancelled' })
  })
})
