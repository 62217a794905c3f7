import { describe, expect, it } from 'vitest'
import { drawnTokens, selfCheck, type SelfCheckModel } from '../../../main/analysis/parity/self-checks'
import { PatchbayError } from '../../../preload/errors'
import { noGradients, type RunInput, type RunResult } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'

const facts = {
  fingerprint: 'a'.repeat(64),
  layers: 2,
  vocab: 50,
  contextLength: 64,
  provider: 'cpu',
} as const
const WIDTH = 4

/** A number for a sequence up to a position, in a channel: what a model would compute, as far as these checks can tell. */
const value = (tokens: readonly number[], position: number, channel: number): number =>
  Math.sin(tokens.slice(0, position + 1).reduce((sum, id, i) => sum + (id + 1) * (i + 1), 0) * 0.01 + channel)

function tensorOf(rows: readonly (readonly number[])[], width: number, off: number): Tensor {
  const longest = Math.max(...rows.map(({ length }) => length))
  const data = rows.flatMap((tokens) =>
    Array.from({ length: longest * width }, (_, i) => {
      const position = Math.floor(i / width)
      // Padded places hold undefined numbers.
      return position < tokens.length ? value(tokens, position, i % width) + off : NaN
    }),
  )
  return { shape: [rows.length, longest, width], data: Float32Array.from(data) }
}

/** A model that computes `value` on every way; `off` is added where it says. */
function fakeModel(
  off: { batch?: number; cache?: number; whole?: number; cpu?: number } = {},
): SelfCheckModel {
  const compute = (input: RunInput, extra: number): RunResult => {
    const { rows, captures, logits } = input.request
    const shift = extra + (rows.length > 1 ? (off.batch ?? 0) : 0)
    const wanted = logits === 'last' ? rows.map((tokens) => tokens.length - 1) : null
    return {
      lengths: rows.map(({ length }) => length),
      captures: Object.fromEntries(captures.map((hook) => [hook, tensorOf(rows, WIDTH, shift)])),
      logits:
        wanted === null
          ? tensorOf(rows, facts.vocab, shift)
          : {
              shape: [rows.length, 1, facts.vocab],
              data: Float32Array.from(
                rows.flatMap((tokens, row) => lastLogits(tokens, wanted[row]).map((logit) => logit + shift)),
              ),
            },
      residual: null,
      ...noGradients(),
    }
  }
  return {
    facts: { ...facts, provider: off.cpu === undefined ? 'cpu' : 'webgpu' },
    compute: async (input) => compute(input, 0),
    opinions: {
      decode: async (tokens, from) => {
        const steps = Array.from({ length: tokens.length - from + 1 }, (_, i) => from - 1 + i)
        const data = steps.flatMap((at) => lastLogits(tokens, at).map((logit) => logit + (off.cache ?? 0)))
        return { shape: [steps.length, facts.vocab], data: Float32Array.from(data) }
      },
      whole: async () => ({
        logits: async (tokens) =>
          Float32Array.from(lastLogits(tokens, tokens.length - 1), (logit) => logit + (off.whole ?? 0)),
        release: async () => undefined,
      }),
      onCpu:
        off.cpu === undefined
          ? null
          : async () => ({
              compute: async (input) => compute(input, off.cpu ?? 0),
              release: async () => undefined,
            }),
      leftOut: null,
    },
  }
}

const lastLogits = (tokens: readonly number[], position: number): number[] =>
  Array.from({ length: facts.vocab }, (_, i) => value(tokens, position, i))

const failures = async (model: SelfCheckModel): Promise<string[]> =>
  (await selfCheck(model)).groups.filter(({ passed }) => !passed).map(({ group }) => group)

describe('self-checks', () => {
  it('pass a model whose ways agree, and say what was compared', async () => {
    const { groups, notes } = await selfCheck(fakeModel())
    expect(groups.map(({ group, count, worst, passed }) => ({ group, count, worst, passed }))).toEqual([
      // Three rows, each with logits and the residual stream at three points.
      { group: 'batched', count: 12, worst: 0, passed: true },
      { group: 'cached', count: 7, worst: 0, passed: true },
      { group: 'whole graph', count: 3, worst: 0, passed: true },
    ])
    expect(notes).toEqual([])
  })

  it('catch a stack that is 1e-3 off in batches', async () => {
    const { groups } = await selfCheck(fakeModel({ batch: 1e-3 }))
    const [batched, ...others] = groups
    expect(batched).toMatchObject({ group: 'batched', passed: false })
    expect(batched.worst).toBeCloseTo(1e-3, 4)
    expect(batched.worstTensor).toMatch(/of row \d$/)
    expect(others.every(({ passed }) => passed)).toBe(true)
  })

  it('catch wrong cached decoding, a wrong stack and a wrong accelerator, each by its own check', async () => {
    expect(await failures(fakeModel({ cache: 1e-3 }))).toEqual(['cached'])
    expect(await failures(fakeModel({ whole: 1e-3 }))).toEqual(['whole graph'])
    expect(await failures(fakeModel({ cpu: 3e-3 }))).toEqual(['provider'])
    expect(await failures(fakeModel({ cpu: 1e-4 }))).toEqual([])
  })

  it('catch numbers that are none', async () => {
    const { groups } = await selfCheck(fakeModel({ batch: NaN }))
    expect(groups[0]).toMatchObject({ group: 'batched', worst: null, passed: false })
  })

  it('leave out, with a note, what there is no memory for', async () => {
    const model = fakeModel()
    const refuse = async (): Promise<never> => {
      throw new PatchbayError('memory.exhausted', 'There is not enough memory.')
    }
    const { groups, notes } = await selfCheck({ ...model, opinions: { ...model.opinions, whole: refuse } })
    expect(groups.map(({ group }) => group)).toEqual(['batched', 'cached'])
    expect(notes).toEqual([
      'The block stack against the whole graph was left out: There is not enough memory.',
    ])
  })

  it('leave out, with a note, what may not be compiled again', async () => {
    const model = fakeModel({ cpu: 0 })
    const opinions = { ...model.opinions, whole: null, onCpu: null, leftOut: 'there is a memory budget.' }
    const { groups, notes } = await selfCheck({ ...model, opinions })
    expect(groups.map(({ group }) => group)).toEqual(['batched', 'cached'])
    expect(notes).toEqual([
      'The block stack against the whole graph was left out: there is a memory budget.',
      'webgpu against the CPU was left out: there is a memory budget.',
    ])
  })

  it('report progress that ends at its total, and stop when they are cancelled', async () => {
    const seen: number[] = []
    let total = 0
    await selfCheck(fakeModel(), {
      onProgress: (done, all) => {
        seen.push(done)
        total = all
      },
    })
    expect(seen).toEqual(Array.from({ length: total + 1 }, (_, i) => i))

    const controller = new AbortController()
    const model = fakeModel()
    let runs = 0
    const compute: SelfCheckModel['compute'] = async (input) => {
      if (++runs === 3) controller.abort()
      return model.compute(input)
    }
    await expect(selfCheck({ ...model, compute }, { signal: controller.signal })).rejects.toMatchObject({
      code: 'run.cancelled',
    })
    expect(runs).toBe(3)
  })

  it('draw the same tokens each time, inside vocabulary and context', () => {
    const rows = drawnTokens({ vocab: 10, contextLength: 8 }, [3, 100])
    expect(rows.map(({ length }) => length)).toEqual([3, 8])
    expect(rows.flat().every((id) => id >= 0 && id < 9)).toBe(true)
    expect(drawnTokens({ vocab: 10, contextLength: 8 }, [3, 100])).toEqual(rows)
  })

  it('run on a model with a single token of context', async () => {
    const model = fakeModel()
    const { groups } = await selfCheck({ ...model, facts: { ...facts, contextLength: 1 } })
    expect(groups.map(({ group }) => group)).toEqual(['batched', 'whole graph'])
  })
})
