/** Metrics by their formulas from the logits, their gradients by finite differences; what a request can get wrong. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BackwardInput, MetricInput } from '../../../preload/metric'
import type { Tensor } from '../../../preload/tensor'
import { inputOf, slopes, wave } from '../../support/finite-difference'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'

const folder = path.join(import.meta.dirname, '../../reference/cases/architectures')
const rows = [
  [5, 17, 99, 23, 42, 7],
  [88, 3, 61, 30],
]

let model: ReferenceModel
let logits: Tensor
let target: Tensor
beforeAll(async () => {
  // With a soft-cap on the logits.
  model = await openReferenceModel(path.join(folder, 'gemma2'))
  const { vocab } = model.spec
  const run = { rows, logits: 'all' as const, backward: { metric: { kind: 'cross-entropy' as const } } }
  const result = await model.run(inputOf(model, run))
  if (result.logits === null) throw new Error('no logits')
  logits = result.logits
  target = { shape: [vocab], data: Float32Array.from(softmax(wave(vocab, 9))) }
})
afterAll(() => model.close())

const softmax = (x: Float32Array): number[] => {
  const exps = [...x].map(Math.exp)
  const sum = exps.reduce((a, b) => a + b, 0)
  return exps.map((e) => e / sum)
}
const at = (row: number, position: number): Float32Array => {
  const [, length, vocab] = logits.shape
  return logits.data.subarray((row * length + position) * vocab, (row * length + position + 1) * vocab)
}
const logP = (row: number, position: number, token: number): number =>
  Math.log(softmax(at(row, position))[token])
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const kl = (p: readonly number[], q: readonly number[]): number =>
  sum(p.map((x, i) => x * Math.log(x / q[i])))

const cases: { name: string; metric: MetricInput; want: (row: number, last: number) => number }[] = [
  {
    name: 'the mean logit of some tokens less that of others',
    metric: { kind: 'logit-difference', positive: [4, 9, 9], negative: [7, 2] },
    want: (row, last) => {
      const y = at(row, last)
      return (y[4] + 2 * y[9]) / 3 - (y[7] + y[2]) / 2
    },
  },
  {
    name: 'a logit alone, at a position',
    metric: { kind: 'logit-difference', positive: [3], position: 2 },
    want: (row) => at(row, 2)[3],
  },
  {
    name: 'the log-probability of a token',
    metric: { kind: 'log-probability', token: 11 },
    want: (row, last) => logP(row, last, 11),
  },
  {
    name: 'the log-probability of a continuation',
    metric: { kind: 'continuation', from: 2 },
    want: (row, last) => sum(range(2, last + 1).map((t) => logP(row, t - 1, rows[row][t]))),
  },
  {
    name: 'the mean cross-entropy of the tokens',
    metric: { kind: 'cross-entropy' },
    want: (row, last) => -sum(range(1, last + 1).map((t) => logP(row, t - 1, rows[row][t]))) / last,
  },
  {
    name: 'KL(target ‖ model)',
    metric: { kind: 'kl', target: 'target' },
    want: (row, last) => kl([...target.data], softmax(at(row, last))),
  },
  {
    name: 'KL(model ‖ target)',
    metric: { kind: 'kl', target: 'target', direction: 'model-target', position: 1 },
    want: (row) => kl(softmax(at(row, 1)), [...target.data]),
  },
]

describe('a metric', () => {
  it.each(cases)('is $name, with its gradient', async ({ metric, want }) => {
    const run = { rows, backward: { metric } }
    const result = await model.run(inputOf(model, run, { target }))
    expect(result.metric?.shape).toEqual([rows.length])
    rows.forEach((tokens, row) =>
      expect(result.metric?.data[row]).toBeCloseTo(want(row, tokens.length - 1), 4),
    )
    for (const row of rows.keys()) {
      const { gradient, difference } = await slopes(
        model,
        run,
        { target },
        'blocks.0.hook_resid_mid',
        row,
        2e-3,
      )
      expect(Math.abs(gradient - difference)).toBeLessThan(0.02 * Math.max(0.1, Math.abs(difference)))
    }
  })

  it('may be another one in each row', async () => {
    const metric = [11, 12].map((token) => ({ kind: 'log-probability' as const, token }))
    const result = await model.run(inputOf(model, { rows, backward: { metric } }))
    expect(result.metric?.data[0]).toBeCloseTo(logP(0, 5, 11), 4)
    expect(result.metric?.data[1]).toBeCloseTo(logP(1, 3, 12), 4)
  })

  it('reads a distribution of each row from a matrix', async () => {
    const { vocab } = model.spec
    const matrix = { shape: [2, vocab], data: Float32Array.of(...target.data, ...softmax(wave(vocab, 2))) }
    const metric = { kind: 'kl' as const, target: 'target' }
    const result = await model.run(inputOf(model, { rows, backward: { metric } }, { target: matrix }))
    expect(result.metric?.data[1]).toBeCloseTo(kl(softmax(wave(vocab, 2)), softmax(at(1, 3))), 4)
  })
})

describe('a projection', () => {
  const projection = (hook: string, positions: 'all' | 'last' | number[] = 'all') => ({
    kind: 'projection' as const,
    hook,
    direction: 'd',
    positions,
  })

  it.each([
    ['blocks.1.hook_resid_pre', 'all'],
    ['blocks.0.hook_resid_post', 'last'],
    ['blocks.1.hook_mlp_out', [1, 3]],
    ['ln_final.hook_normalized', 'last'],
    ['hook_embed', [0]],
  ] as const)(
    'on a direction at %s is x·d at the positions %s, and its gradient there d',
    async (hook, positions) => {
      const width = model.spec.dModel
      const d = { shape: [width], data: wave(width, 6) }
      const metric = projection(hook, typeof positions === 'string' ? positions : [...positions])
      const run = { rows, captures: [hook], backward: { metric, hooks: [hook] } }
      const result = await model.run(inputOf(model, run, { d }))
      const x = result.captures[hook]
      rows.forEach((tokens, row) => {
        const last = tokens.length - 1
        const chosen: readonly number[] =
          positions === 'all' ? range(0, tokens.length) : positions === 'last' ? [last] : positions
        const start = (position: number): number => (row * x.shape[1] + position) * width
        const dot = (position: number): number =>
          sum([...d.data].map((value, i) => value * x.data[start(position) + i]))
        expect(result.metric?.data[row]).toBeCloseTo(sum(chosen.map(dot)), 2)
        for (let position = 0; position < x.shape[1]; position++) {
          const own = result.gradients[hook].data.subarray(start(position), start(position) + width)
          expect([...own]).toEqual(chosen.includes(position) ? [...d.data] : Array<number>(width).fill(0))
        }
      })
    },
  )

  it.each([
    'blocks.1.hook_resid_mid',
    'blocks.1.attn.hook_z',
    'blocks.1.mlp.hook_pre',
    'ln_final.hook_normalized',
  ])('at %s has the slopes of finite differences before it', async (hook) => {
    const heads = model.spec.blocks[1].attention
    const shape = hook.endsWith('hook_z')
      ? [heads.heads, heads.headDim]
      : [hook.endsWith('pre') ? model.spec.blocks[1].mlp.width : model.spec.dModel]
    const d = {
      shape,
      data: wave(
        shape.reduce((a, b) => a * b, 1),
        8,
        0.3,
      ),
    }
    const run = { rows, backward: { metric: projection(hook, [1, 2]) } }
    for (const row of rows.keys()) {
      const { gradient, difference } = await slopes(model, run, { d }, 'blocks.0.hook_resid_mid', row, 2e-3)
      expect(Math.abs(gradient - difference)).toBeLessThan(0.02 * Math.max(0.1, Math.abs(difference)))
    }
  })

  it('at the last stream before a stop needs nothing behind it', async () => {
    const d = { shape: [model.spec.dModel], data: wave(model.spec.dModel, 6) }
    const backward = { metric: projection('blocks.0.hook_resid_post'), hooks: ['blocks.0.hook_resid_pre'] }
    const whole = await model.run(inputOf(model, { rows, backward }, { d }))
    const part = await model.run(inputOf(model, { rows, stopLayer: 1, backward }, { d }))
    expect(part.gradients).toEqual(whole.gradients)
    expect(part.metric).toEqual(whole.metric)
  })
})

describe('a request for gradients is refused', () => {
  const metric = { kind: 'log-probability' as const, token: 1 }
  const wrong: [string, BackwardInput, string, RegExp][] = [
    [
      'with a token outside the vocabulary',
      { metric: { ...metric, token: 5000 } },
      'input.invalid',
      /5000.*vocabulary/,
    ],
    [
      'with a position behind a row’s end',
      { metric: { ...metric, position: 4 } },
      'input.invalid',
      /position 4.*row 1/,
    ],
    [
      'with a continuation from behind a row’s end',
      { metric: { kind: 'continuation', from: 5 } },
      'input.invalid',
      /row 1/,
    ],
    [
      'with a tensor that is not there',
      { metric: { kind: 'kl', target: 'other' } },
      'input.invalid',
      /"other"/,
    ],
    [
      'with a distribution of another size',
      { metric: { kind: 'kl', target: 'short' } },
      'input.invalid',
      /shape \[3\]/,
    ],
    [
      'with a distribution that is none',
      { metric: { kind: 'kl', target: 'logits' } },
      'input.invalid',
      /distribution of row 0/,
    ],
    [
      'with zeros where a divergence is infinite',
      { metric: { kind: 'kl', target: 'zeros', direction: 'model-target' } },
      'input.invalid',
      /zeros/,
    ],
    ['with a metric too few', { metric: [metric] }, 'input.invalid', /1 metrics for 2 rows/],
    [
      'with metrics of two kinds',
      { metric: [metric, { kind: 'cross-entropy' }] },
      'input.invalid',
      /different kinds/,
    ],
    ['with an unknown hook point', { metric, hooks: ['blocks.0.hook_rezid'] }, 'hook.unknown', /hook_rezid/],
    [
      'with a hook point behind the metric’s',
      {
        metric: { kind: 'projection', hook: 'blocks.0.hook_resid_mid', direction: 'd' },
        hooks: ['blocks.1.hook_resid_pre'],
      },
      'hook.unavailable',
      /does not depend/,
    ],
    ['with an unknown parameter', { metric, weights: ['no.such.weight'] }, 'input.invalid', /no.such.weight/],
  ]
  it.each(wrong)('%s', async (_, backward, code, message) => {
    const { vocab, dModel } = model.spec
    const zeros = Float32Array.from({ length: vocab }, (_, i) => (i === 0 ? 1 : 0))
    const tensors = {
      short: { shape: [3], data: new Float32Array(3) },
      logits: { shape: [vocab], data: wave(vocab, 1) },
      zeros: { shape: [vocab], data: zeros },
      d: { shape: [dModel], data: wave(dModel, 1) },
    }
    await expect(model.run(inputOf(model, { rows, backward }, tensors))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
      next: expect.any(String) as string,
    })
  })

  it('of logits where the run stops before them', async () => {
    const run = model.run(inputOf(model, { rows, stopLayer: 1, backward: { metric } }))
    await expect(run).rejects.toMatchObject({
      code: 'input.invalid',
      message: expect.stringMatching(/stops/) as string,
    })
  })

  it('before the block where the run starts', async () => {
    const residual = { shape: [2, 6, model.spec.dModel], data: wave(12 * model.spec.dModel, 1) }
    const start = { layer: 1, residual: 'r' }
    const hooks = ['blocks.0.hook_resid_pre']
    const run = model.run(inputOf(model, { rows, start, backward: { metric, hooks } }, { r: residual }))
    await expect(run).rejects.toMatchObject({ code: 'hook.unavailable' })
  })
})
