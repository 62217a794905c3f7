/** Running exported decoders of all styles: what their hook points hold must add up, and ports must act where they are. */
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { relativeError } from '../../../main/analysis/parity/case'
import { argmax, klDivergence } from '../../../main/runtime/distribution'
import { reportOf } from '../../../main/runtime/exported/report'
import { floatData, int64s, Session } from '../../../main/runtime/session'
import { onnxReport } from '../../../preload/onnx-report'
import { generateRequest } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import { failureOf } from '../../models/scratch'
import { exportFile, openExportedModel, type ExportedModel } from '../../support/exported-model'
import { BLOCKS, HEADS, tinyDecoder, VOCAB, WIDTH, type DecoderStyle } from '../../support/tiny-decoder'
import { flat, logitsOf, rows, run, useExports } from '../../support/use-exports'

const { open, file, closing } = useExports()

const sum = (...tensors: Tensor[]): Tensor => ({
  shape: tensors[0].shape,
  data: tensors[0].data.map((_, i) => tensors.reduce((total, { data }) => total + data[i], 0)),
})
/** Logits of the file itself, as the runtime computes it whole. */
async function uncut(model: ExportedModel): Promise<Tensor> {
  const session = await Session.load(await readFile(file()), 'uncut', { provider: 'cpu', prepack: false })
  const { roles, logits } = model.plan.recognition
  const shape = [1, rows[0].length]
  const feeds = {
    [roles.tokens]: int64s(rows[0], shape),
    [roles.mask ?? '']: int64s(
      rows[0].map(() => 1),
      shape,
    ),
  }
  const out = await session.run(feeds, [logits])
  await session.release()
  return { shape: out[logits].dims, data: floatData(out[logits]) }
}
const zero = { zero: { shape: [1], data: Float32Array.of(0) } }

describe('a decoder', () => {
  it.each<[string, DecoderStyle]>([
    ['plain', {}],
    ['in operator set 11', { opset: 11, projections: 'fused-split', mlp: 'gated-fused' }],
    ['in operator set 23', { opset: 23, norm: 'layer-written', mask: 'where', capped: true }],
    ['with parallel sublayers', { topology: 'parallel', projections: 'fused-gather' }],
    ['with parallel sublayers added one by one', { topology: 'parallel-stream-first', mlp: 'gated' }],
    ['optimised by ONNX Runtime', { skipNorms: true, attention: 'multi-head' }],
    ['with ONNX’s own attention', { attention: 'onnx', opset: 23, mlp: 'gated' }],
    [
      'with experts and norms on what is added',
      { mlp: 'experts', postNorms: true, flipped: true, padded: true },
    ],
  ])('%s adds up at its hook points, and its ports do nothing until they are used', async (_, style) => {
    const model = await open(tinyDecoder(style))
    const captures = [...model.plan.names]
    const plain = await run(model, { captures })
    const at = (name: string): Tensor => plain.captures[name]
    expect(model.plan.whole).toBeNull()
    expect(relativeError(logitsOf(plain), await uncut(model))).toBeLessThan(1e-6)
    for (let layer = 0; layer < BLOCKS; layer++) {
      const [before, a, m, after] = ['resid_pre', 'attn_out', 'mlp_out', 'resid_post'].map((site) =>
        at(`blocks.${layer}.hook_${site}`),
      )
      expect(relativeError(sum(before, a, m), after)).toBeLessThan(1e-6)
      if (style.attention !== undefined) continue
      const pattern = at(`blocks.${layer}.attn.hook_pattern`)
      expect(pattern.shape).toEqual([1, HEADS, rows[0].length, rows[0].length])
      expect(pattern.data.reduce((x, y) => x + y)).toBeCloseTo(HEADS * rows[0].length, 4)
    }
    const interventions = captures.map((hook) => ({
      hook,
      operation: { kind: 'add', value: 'zero' } as const,
    }))
    const ported = await run(model, { captures, interventions }, zero)
    expect(relativeError(logitsOf(ported), logitsOf(plain))).toBeLessThan(1e-6)
    for (const hook of captures)
      expect([hook, relativeError(ported.captures[hook], at(hook)) < 1e-6]).toEqual([hook, true])
  })

  it('reads out of its residual stream what its own logits are', async () => {
    const model = await open(tinyDecoder())
    const hook = `blocks.${BLOCKS - 1}.hook_resid_post`
    const result = await run(model, { captures: [hook] })
    const rowsOf = (tensor: Tensor, width: number): Float32Array[] =>
      Array.from({ length: tensor.data.length / width }, (_, i) =>
        tensor.data.subarray(i * width, (i + 1) * width),
      )
    const logits = rowsOf(logitsOf(result), VOCAB)
    const residual = { shape: [rows[0].length, WIDTH], data: result.captures[hook].data }
    const ids = Int32Array.from(rows[0])
    const read = await model.readout.read(residual, { k: 3, targets: { ids, perRow: 1 } })
    logits.forEach((row, i) => {
      expect(read.topIds[3 * i]).toBe(argmax(row))
      expect(read.topLogits[3 * i]).toBeCloseTo(Math.max(...row), 4)
      expect([...read.topIds.subarray(3 * i, 3 * i + 3)]).toEqual(
        [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 3),
      )
      expect(read.targetRanks[i]).toBe(row.filter((x) => x > row[ids[i]]).length)
      expect(Math.exp(read.topLogProbs[3 * i])).toBeGreaterThan(1 / VOCAB)
      expect(read.entropy[i]).toBeGreaterThan(0)
      expect(read.entropy[i]).toBeLessThanOrEqual(Math.log(VOCAB) + 1e-6)
    })
    const turned = { shape: residual.shape, data: residual.data.map((x) => -x) }
    const kl = await model.readout.divergence(residual, turned)
    const other = rowsOf(await model.stack.unembed(turned), VOCAB)
    logits.forEach((row, i) => expect(kl[i]).toBeCloseTo(klDivergence(row, other[i]), 4))
    expect((await model.readout.divergence(residual, residual)).every((x) => x === 0)).toBe(true)
  })

  it('keeps the future hidden when its scores are changed', async () => {
    const model = await open(tinyDecoder())
    const hook = 'blocks.0.attn.hook_attn_scores'
    const pattern = 'blocks.0.attn.hook_pattern'
    const { captures } = await run(model, {
      captures: [pattern],
      interventions: [{ hook, operation: { kind: 'scale', factor: 0 } }],
    })
    const length = rows[0].length
    for (let q = 0; q < length; q++)
      for (let k = 0; k < length; k++)
        expect(captures[pattern].data[q * length + k]).toBeCloseTo(k > q ? 0 : 1 / (q + 1), 5)
  })

  it('removes a direction in the middle of a block', async () => {
    const model = await open(tinyDecoder())
    const hook = 'blocks.1.hook_resid_mid'
    const direction = {
      shape: [WIDTH],
      data: Float32Array.from({ length: WIDTH }, (_, i) => (i === 4 ? 3 : 0)),
    }
    const { captures } = await run(
      model,
      { captures: [hook], interventions: [{ hook, operation: { kind: 'direction', direction: 'd' } }] },
      { d: direction },
    )
    for (let i = 4; i < captures[hook].data.length; i += WIDTH)
      expect(captures[hook].data[i]).toBeCloseTo(0, 6)
  })

  it('says what it has not, and offers raw values instead', async () => {
    const model = await open(tinyDecoder({ norm: 'fused-layer' }))
    const absent = await failureOf(() => run(model, { captures: ['blocks.0.ln1.hook_scale'] }))
    expect(absent).toMatchObject({ code: 'hook.unavailable', field: 'blocks.0.ln1.hook_scale' })
    expect(absent.next).toMatch(/value:NAME/)
    expect(await failureOf(() => run(model, { captures: ['blocks.0.hook_nothing'] }))).toMatchObject({
      code: 'hook.unknown',
    })
    expect(await failureOf(() => run(model, { captures: ['value:nowhere'] }))).toMatchObject({
      code: 'hook.unknown',
      field: 'value:nowhere',
    })
  })

  it('is not entered at a block that needs more of the blocks before than their residual stream', async () => {
    const model = await open(tinyDecoder({ shared: true }))
    expect(model.plan.whole).toBeNull()
    const { residual } = await run(model, { stopLayer: 1 })
    if (residual === null) throw new Error('it did not stop')
    const tensors = { r: { shape: [...residual.shape], data: residual.data } }
    const entered = run(model, { start: { layer: 1, residual: 'r' } }, tensors)
    expect(await failureOf(() => entered)).toMatchObject({ code: 'input.invalid', field: 'start.layer' })
    // Behind it nothing of the first block is needed any more.
    const last = await run(model, { captures: [`blocks.${BLOCKS - 1}.hook_resid_post`] })
    const end = last.captures[`blocks.${BLOCKS - 1}.hook_resid_post`]
    const rest = await run(
      model,
      { start: { layer: BLOCKS, residual: 'r' } },
      { r: { ...end, shape: [...end.shape] } },
    )
    expect(relativeError(logitsOf(rest), logitsOf(last))).toBeLessThan(1e-6)
  })

  it('refuses tokens, positions and rows that it does not have', async () => {
    const model = await open(tinyDecoder())
    const long = new Array<number>(17).fill(1)
    expect(await failureOf(() => run(model, { rows: [long] }))).toMatchObject({ code: 'prompt.too-long' })
    expect(await failureOf(() => run(model, { rows: [[VOCAB]] }))).toMatchObject({ code: 'input.invalid' })
    const between = { rows: [[1, 2]], start: { layer: 1, residual: 'zero' } }
    expect(await failureOf(() => run(model, between, zero))).toMatchObject({ field: 'start.residual' })
  })
})

describe('a decoder with a cache', () => {
  it('that counts positions and can mask no gaps generates the same with and without it', async () => {
    const model = await open(tinyDecoder({ attention: 'group-query', past: true }))
    const { decoder, recognition } = model.plan
    expect(decoder?.past?.map(({ key, value: v }) => [key.input, key.present, v.input, v.present])).toEqual([
      ['past.0.k', 'present.0.k', 'past.0.v', 'present.0.v'],
      ['past.1.k', 'present.1.k', 'past.1.v', 'present.1.v'],
    ])
    expect([decoder?.gaps, recognition.roles.positions, model.plan.whole]).toEqual([false, null, null])
    for (const prompts of [
      [[1, 5, 9]],
      [
        [1, 5, 9, 4],
        [3, 8],
      ],
    ]) {
      const request = generateRequest.parse({
        model: model.fingerprint,
        rows: prompts.map((tokens) => ({ tokens })),
        maxTokens: 5,
        stopAtEos: false,
      })
      const generated = await model.generate({ request, tensors: {} })
      for (const [row, prompt] of prompts.entries()) {
        const text = [...prompt]
        for (let step = 0; step < 5; step++)
          text.push(argmax(logitsOf(await run(model, { rows: [text], logits: 'last' })).data))
        expect([...prompt, ...generated[row].tokens]).toEqual(text)
      }
    }
  })
})

describe('the report', () => {
  it('says before anything runs what was recognised and what not', async () => {
    const model = closing(await openExportedModel(exportFile('llama-optimum-past')))
    const report = onnxReport.parse(reportOf(model.plan, { max_position_embeddings: 64 }))
    expect(report).toMatchObject({
      producer: 'pytorch 2.8.0',
      operatorSets: 'ai.onnx 18',
      decoder: { layers: 2, dModel: 32, heads: 4, kvHeads: 2, dHead: 8, dMlp: 48 },
      contextLength: 64,
      contextSource: 'config',
      whole: null,
      generation: 'cache',
      missing: [],
    })
    expect(report.inputs.map(({ role }) => role)).toEqual([
      'tokens',
      'attention mask',
      'positions',
      'past keys',
      'past values',
      'past keys',
      'past values',
    ])
    const rotated = report.hooks.find(({ hook }) => hook === 'blocks.0.attn.hook_rot_q')
    expect(rotated).toMatchObject({ rearranged: true, shape: '[batch_size, 4, sequence_length, 8]' })
    expect(report.values.find(({ name }) => name === rotated?.value)?.hooks).toEqual([
      'blocks.0.attn.hook_rot_q',
    ])
  })

  it('says where a context length comes from', async () => {
    const model = await open(tinyDecoder())
    expect(reportOf(model.plan, { n_ctx: 99 })).toMatchObject({ contextLength: 16, contextSource: 'table' })
    const other = await open(flat(['b', 's']))
    expect(reportOf(other.plan, { n_ctx: 'many' })).toMatchObject({ contextSource: 'unstated' })
  })
})
