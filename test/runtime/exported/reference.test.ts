/**
 * Exports by three exporters of three checkpoints: what they compute, whole and in every hook point that was recognised,
 * against PyTorch's numbers and against the same checkpoint run by Patchbay's own graphs.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCase, relativeError, type Case } from '../../../main/analysis/parity/case'
import { checkCase } from '../../../main/analysis/parity/check'
import {
  generateRequest,
  runRequest,
  type RunInput,
  type RunRequestInput,
  type RunResult,
} from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import {
  checkpointOf,
  exportFile,
  exportNames,
  openExportCase,
  openExportedModel,
  type ExportedModel,
} from '../../support/exported-model'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

/** float32 against float64 (see `patchbay verify`). */
const TOLERANCE = 5e-5

const logitsOf = ({ logits }: RunResult): Tensor => {
  if (logits === null) throw new Error('the run gave no logits')
  return logits
}

describe.each(exportNames)('%s', (name) => {
  let model: ExportedModel
  let reference: Case
  /** The checkpoint that it was exported from. */
  let original: ReferenceModel
  let rows: number[][]

  beforeAll(async () => {
    model = await openExportedModel(exportFile(name))
    reference = await openExportCase(name)
    original = await openReferenceModel(checkpointOf(name))
    rows = await reference.tokens('input_ids')
  })

  afterAll(async () => {
    await model.close()
    await reference.close()
    await original.close()
  })

  const input = (request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}): RunInput => ({
    request: runRequest.parse({ model: model.fingerprint, rows, logits: 'all', ...request }),
    tensors,
  })
  const run = (request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}) =>
    model.run(input(request, tensors))

  it('reproduces logits, activations, patterns, steered, patched and ablated logits', async () => {
    const groups = await checkCase(model, reference)
    expect(groups.map(({ group }) => group)).toEqual([
      'logits',
      'activations',
      'patterns',
      'steered',
      'patched',
      'ablated',
    ])
    for (const { group, worst, worstTensor } of groups)
      expect([group, worstTensor, worst < TOLERANCE]).toEqual([group, worstTensor, true])
  })

  it('gives every recognised hook point the value that the checkpoint’s own graphs have there', async () => {
    const captures = [...model.plan.names]
    const [mine, theirs] = [await run({ captures }), await original.run(input({ captures }))]
    for (const hook of captures) {
      const [got, want] = [mine.captures[hook], theirs.captures[hook]]
      expect([hook, got.shape]).toEqual([hook, want.shape])
      // Exporters mask with the lowest float instead of −∞.
      const lowest = (tensor: Tensor): Tensor => ({
        shape: tensor.shape,
        data: tensor.data.map((x) => (x < -1e30 ? 0 : x)),
      })
      expect([hook, relativeError(lowest(got), lowest(want)) < 1e-5]).toEqual([hook, true])
    }
  })

  it('is cut into embedding, blocks and unembedding', () => {
    expect(model.plan.whole).toBeNull()
    expect(model.plan.parts).toHaveLength((model.plan.decoder?.layers ?? 0) + 2)
  })

  it('generates what the checkpoint generates, plain and steered', async () => {
    const generated = await readCase(checkpointOf(name))
    const steer = await generated.tensor('steer.vector')
    const operation = { kind: 'add', value: 'steer' } as const
    const hook = `blocks.${generated.reference.steer_block}.hook_resid_pre`
    for (const [tensor, interventions] of [
      ['generate.ids', []],
      ['steer.generate.ids', [{ hook, operation }]],
    ] as const) {
      const want = await generated.tokens(tensor)
      const request = generateRequest.parse({
        model: model.fingerprint,
        rows: rows.map((tokens) => ({ tokens })),
        interventions,
        maxTokens: want[0].length - rows[0].length,
        stopAtEos: false,
      })
      const got = await model.generate({ request, tensors: { steer } })
      expect(got.map(({ tokens }, row) => [...rows[row], ...tokens])).toEqual(want)
    }
    await generated.close()
  })

  it('generates for prompts of different length what it generates for each alone', async () => {
    const prompts = [rows[0], rows[1].slice(0, 5)]
    const continued = async (tokens: readonly number[][]) => {
      const request = generateRequest.parse({
        model: model.fingerprint,
        rows: tokens.map((row) => ({ tokens: row })),
        maxTokens: 6,
        stopAtEos: false,
      })
      return (await model.generate({ request, tensors: {} })).map((row) => row.tokens)
    }
    const together = await continued(prompts)
    expect(together).toEqual([...(await continued([prompts[0]])), ...(await continued([prompts[1]]))])
  })

  it('computes rows padded to the longest as it computes them alone', async () => {
    const short = rows[1].slice(0, 5)
    const [both, alone] = [await run({ rows: [rows[0], short] }), await run({ rows: [short] })]
    const [, columns, vocab] = logitsOf(both).shape
    const second = logitsOf(both).data.subarray(columns * vocab, (columns + short.length) * vocab)
    expect(relativeError({ shape: [], data: second }, logitsOf(alone))).toBeLessThan(1e-5)
    const last = logitsOf(await run({ rows: [rows[0], short], logits: 'last' })).data.subarray(vocab)
    const tail = logitsOf(alone).data.subarray((short.length - 1) * vocab)
    expect(relativeError({ shape: [], data: last }, { shape: [], data: tail })).toBeLessThan(1e-5)
  })

  it('goes on from a residual stream, and stops before a block', async () => {
    const whole = await run({})
    const { residual } = await run({ stopLayer: 1 })
    if (residual === null) throw new Error('it did not stop')
    const rest = await run(
      { start: { layer: 1, residual: 'residual' } },
      { residual: { shape: [...residual.shape], data: residual.data } },
    )
    expect(relativeError(logitsOf(rest), logitsOf(whole))).toBeLessThan(1e-6)
    await expect(run({ stopLayer: 1, captures: ['blocks.1.hook_mlp_out'] })).rejects.toMatchObject({
      code: 'hook.unavailable',
    })
  })

  it('changes nothing through ports that add nothing, at all hook points at once', async () => {
    const interventions = model.plan.names.map((hook) => ({
      hook,
      operation: { kind: 'add', value: 'zero' } as const,
    }))
    const changed = await run({ interventions }, { zero: { shape: [1], data: Float32Array.of(0) } })
    expect(relativeError(logitsOf(changed), logitsOf(await run({})))).toBeLessThan(1e-5)
  })

  it('changes at a hook point what the checkpoint’s own graphs change there', async () => {
    const inBlock = model.plan.names.filter((hook) => !/^blocks\.[02-9]\./.test(hook))
    for (const hook of inBlock) {
      const request = {
        interventions: [
          { hook, positions: [2, 7], rows: [1], operation: { kind: 'scale', factor: 0.5 } as const },
        ],
      }
      const [mine, theirs] = [await run(request), await original.run(input(request))]
      expect([hook, relativeError(logitsOf(mine), logitsOf(theirs)) < 2e-5]).toEqual([hook, true])
    }
  })

  it('captures and changes any value of the graph by its own name', async () => {
    const site = model.plan.decoder?.sites.get('blocks.1.hook_mlp_out')
    const raw = `value:${site?.value}`
    const { captures } = await run({ captures: [raw, 'blocks.1.hook_mlp_out'] })
    expect(captures[raw]).toEqual(captures['blocks.1.hook_mlp_out'])
    const change = { positions: [3], operation: { kind: 'scale', factor: 0 } as const }
    const byName = await run({ interventions: [{ hook: raw, ...change }] })
    const byHook = await run({ interventions: [{ hook: 'blocks.1.hook_mlp_out', ...change }] })
    expect(byName.logits).toEqual(byHook.logits)
    expect(byName.logits).not.toEqual((await run({})).logits)
  })
})
