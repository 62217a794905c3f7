import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { argmax, klDivergence, logSumExp } from '../../main/runtime/distribution'
import { generate, type GeneratedRow, type GenerateOptions } from '../../main/runtime/generate'
import {
  generateRequest,
  runRequest,
  type GenerateRequestInput,
  type GenerateStep,
  type InterventionInput,
  type PositionSet,
} from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { openReferenceModel, type ReferenceModel } from '../support/reference-model'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
const prompts = [
  [5, 17, 99, 23, 42, 7],
  [140, 2, 64],
  [1, 90, 33, 12, 8, 71, 66, 4],
]

describe.each(['llama', 'gpt2', 'mistral_sliding', 'bloom'])('generation in %s', (name) => {
  let model: ReferenceModel
  beforeAll(async () => {
    model = await openReferenceModel(path.join(folder, name))
  })
  afterAll(() => model.close())

  const run = (
    request: Omit<GenerateRequestInput, 'model'>,
    options: GenerateOptions = {},
    tensors: Record<string, Tensor> = {},
  ): Promise<GeneratedRow[]> =>
    generate(
      model.stack,
      { request: generateRequest.parse({ model: model.fingerprint, stopAtEos: false, ...request }), tensors },
      options,
    )

  /** Logits at the last position of one sequence, without any cache. */
  const logitsOf = async (
    tokens: number[],
    interventions: InterventionInput[] = [],
    tensors: Record<string, Tensor> = {},
  ) => {
    const request = runRequest.parse({ model: model.fingerprint, rows: [tokens], interventions })
    const { logits } = await model.run({ request, tensors })
    return logits?.data ?? new Float32Array(0)
  }

  it('gives the tokens of uncached greedy decoding, for rows of different lengths at once', async () => {
    const rows = await run({ rows: prompts.map((tokens) => ({ tokens })), maxTokens: 12 })
    for (const [row, prompt] of prompts.entries()) {
      const tokens = [...prompt]
      for (let step = 0; step < 12; step++) tokens.push(argmax(await logitsOf(tokens)))
      expect(rows[row]).toEqual({ tokens: tokens.slice(prompt.length), finish: 'length' })
    }
  })

  it('applies interventions to prompt, generated or chosen positions only', async () => {
    const v: Tensor = {
      shape: [model.spec.dModel],
      data: Float32Array.from({ length: model.spec.dModel }, (_, i) => 2 * Math.sin(i)),
    }
    const hooks = ['blocks.1.hook_resid_pre', 'blocks.0.hook_mlp_out', 'blocks.1.hook_resid_mid']
    const sets: PositionSet[] = ['all', 'prompt', 'generated', [2, 9]]
    for (const hook of hooks)
      for (const positions of sets) {
        const change = (at: PositionSet): InterventionInput => ({
          hook,
          positions: at,
          operation: { kind: 'add', value: 'v' },
        })
        const [steered, plain] = await run(
          {
            rows: [{ tokens: prompts[0] }, { tokens: prompts[0] }],
            interventions: [{ ...change(positions), rows: [0] }],
            maxTokens: 8,
          },
          {},
          { v },
        )
        const tokens = [...prompts[0]]
        for (let step = 0; step < 8; step++) {
          const all = tokens.map((_, i) => i)
          const inPrompt = (i: number): boolean => i < prompts[0].length
          const chosen = Array.isArray(positions)
            ? all.filter((i) => positions.includes(i))
            : all.filter((i) => positions === 'all' || inPrompt(i) === (positions === 'prompt'))
          const interventions = chosen.length === 0 ? [] : [{ ...change('all'), positions: chosen }]
          tokens.push(argmax(await logitsOf(tokens, interventions, { v })))
        }
        expect(steered.tokens, `${hook} at ${String(positions)}`).toEqual(tokens.slice(prompts[0].length))
        expect(plain.tokens).toEqual((await run({ rows: [{ tokens: prompts[0] }], maxTokens: 8 }))[0].tokens)
      }
  })

  it('changes attention to keys by their position, also where shorter rows leave gaps', async () => {
    const hook = 'blocks.1.attn.hook_pattern'
    const knockout: InterventionInput = { hook, units: [1], operation: { kind: 'scale', factor: 0 } }
    const batch = await run({
      rows: prompts.map((tokens) => ({ tokens })),
      interventions: [knockout],
      maxTokens: 6,
    })
    for (const [row, tokens] of prompts.entries()) {
      const [single] = await run({ rows: [{ tokens }], interventions: [knockout], maxTokens: 6 })
      expect(batch[row].tokens).toEqual(single.tokens)
    }
  })

  it('lets a row follow another and reports the divergence of the two at each step', async () => {
    const steps: GenerateStep[] = []
    const v: Tensor = {
      shape: [model.spec.dModel],
      data: new Float32Array(model.spec.dModel).map((_, i) => Math.cos(i)),
    }
    const steer: InterventionInput = {
      hook: 'blocks.1.hook_resid_pre',
      operation: { kind: 'add', value: 'v' },
    }
    const rows = await run(
      {
        rows: [{ tokens: prompts[1] }, { tokens: prompts[1], follow: 0 }],
        interventions: [{ ...steer, rows: [0] }],
        maxTokens: 5,
        klPairs: [[0, 1]],
      },
      { onStep: (step) => steps.push(step) },
      { v },
    )
    expect(rows[1].tokens).toEqual(rows[0].tokens)
    expect(steps.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4])
    const tokens = [...prompts[1]]
    for (const step of steps) {
      const p = await logitsOf(tokens, [steer], { v })
      const q = await logitsOf(tokens)
      const next = rows[0].tokens[step.step]
      expect(step.kl[0]).toBeCloseTo(klDivergence(p, q), 4)
      expect(step.logProbs[0]).toBeCloseTo(p[next] - logSumExp(p), 4)
      expect(step.logProbs[1]).toBeCloseTo(q[next] - logSumExp(q), 4)
      tokens.push(next)
    }
  })
})

describe('the end of generation', () => {
  let model: ReferenceModel
  beforeAll(async () => {
    model = await openReferenceModel(path.join(folder, 'llama'))
  })
  afterAll(() => model.close())
  const run = (request: Omit<GenerateRequestInput, 'model'>, options: GenerateOptions = {}) =>
    generate(
      model.stack,
      { request: generateRequest.parse({ model: model.fingerprint, ...request }), tensors: {} },
      options,
    )
  const free = async (): Promise<number[]> =>
    (await run({ rows: [{ tokens: prompts[0] }], maxTokens: 10 }))[0].tokens

  it('is an end token, unless the request goes on past them', async () => {
    const tokens = await free()
    const eos = [tokens[3]]
    const end = tokens.indexOf(tokens[3]) + 1
    const request = { rows: [{ tokens: prompts[0] }], maxTokens: 10 }
    expect(await run(request, { eos })).toEqual([{ tokens: tokens.slice(0, end), finish: 'eos' }])
    expect(await run({ ...request, stopAtEos: false }, { eos })).toEqual([{ tokens, finish: 'length' }])
  })

  it('is a stop string, also one that spans tokens', async () => {
    const tokens = await free()
    const decode = (ids: readonly number[]): string => ids.map((id) => `<${id}>`).join('')
    const stop = `${tokens[2]}><${tokens[3]}`
    const [row] = await run({ rows: [{ tokens: prompts[0] }], maxTokens: 10, stop: [stop] }, { decode })
    expect(row).toEqual({ tokens: tokens.slice(0, 4), finish: 'stop' })
  })

  it('is the context length', async () => {
    const long = Array.from({ length: model.spec.contextLength - 3 }, (_, i) => i % 150)
    const [row] = await run({ rows: [{ tokens: long }], maxTokens: 10, stopAtEos: false })
    expect(row.finish).toBe('context')
    expect(row.tokens).toHaveLength(3)
  })

  it('of one row leaves the others going, and takes its follower along', async () => {
    const tokens = await free()
    const steps: GenerateStep[] = []
    const rows = await run(
      {
        rows: [{ tokens: prompts[1] }, { tokens: prompts[0] }, { tokens: prompts[2], follow: 1 }],
        maxTokens: 10,
        klPairs: [[0, 1]],
      },
      { eos: [tokens[2]], onStep: (step) => steps.push(step) },
    )
    const alone = await run({ rows: [{ tokens: prompts[1] }], maxTokens: 10 }, { eos: [tokens[2]] })
    expect(rows[0]).toEqual(alone[0])
    expect(rows[1].finish).toBe('eos')
    expect(rows[2]).toEqual({ tokens: rows[1].tokens, finish: 'followed' })
    const after = steps[rows[1].tokens.length]
    expect(after.tokens.slice(1)).toEqual([-1, -1])
    expect(after.kl).toEqual([-1])
  })

  it('is a cancellation, between blocks', async () => {
    const controller = new AbortController()
    const request = { rows: [{ tokens: prompts[0] }], maxTokens: 1000, stopAtEos: false }
    const pending = run(request, {
      signal: controller.signal,
      onStep: ({ step }) => {
        if (step === 2) controller.abort()
      },
    })
    await expect(pending).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(await free()).toHaveLength(10)
  })

  it('refuses rows that follow nothing or a follower, and pairs of rows that are not there', async () => {
    const tokens = prompts[0]
    await expect(run({ rows: [{ tokens, follow: 3 }] })).rejects.toMatchObject({
      code: 'input.invalid',
      field: 'rows.0.follow',
    })
    await expect(run({ rows: [{ tokens, follow: 0 }] })).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(
      run({ rows: [{ tokens }, { tokens, follow: 0 }, { tokens, follow: 1 }] }),
    ).rejects.toMatchObject({
      field: 'rows.2.follow',
    })
    await expect(run({ rows: [{ tokens }], klPairs: [[0, 1]] })).rejects.toMatchObject({ field: 'klPairs' })
  })
})
