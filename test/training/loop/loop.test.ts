import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadCheckpoint } from '../../../main/training/checkpoint'
import { Curve } from '../../../main/training/loop/curve'
import { train, type LoopOptions } from '../../../main/training/loop/loop'
import type { LoopSettings, TrainingTask } from '../../../main/training/loop/types'
import { randomState, SeededRandom } from '../../../main/training/random'
import { failingFs } from '../../files/failing-fs'

let folder: string
let checkpoint: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-loop-'))
  checkpoint = path.join(folder, 'checkpoint.safetensors')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const settings: LoopSettings = {
  steps: 20,
  accumulate: 2,
  schedule: { peak: 0.05, warmUp: 4, floor: 0.1 },
  clip: 1,
  optimiser: { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, groupOf: () => ({ weightDecay: 0.01 }) },
  checkpointEvery: 6,
  evaluateEvery: 5,
}
const options = (more: Partial<LoopOptions> = {}): LoopOptions => ({ checkpoint, identity: 'line', ...more })

type Batch = { x: Float32Array; y: Float32Array }

/** Least squares of y = 2 x₀ − x₁ + noise, drawn afresh for each batch. */
function line(poisonAt = Infinity): TrainingTask<Batch> & { weights: Float32Array } {
  const weights = new Float32Array(2)
  const random = new SeededRandom(7)
  let drawn = 0
  return {
    weights,
    parameters: [{ name: 'w', shape: [2], data: weights }],
    next: async () => {
      const x = Float32Array.from({ length: 16 }, () => random.normal())
      const noisy = (_: unknown, i: number): number => 2 * x[2 * i] - x[2 * i + 1] + 0.1 * random.normal()
      const y = Float32Array.from({ length: 8 }, noisy)
      if (drawn++ === poisonAt) x[3] = NaN
      return { x, y }
    },
    compute: async ({ x, y }) => {
      const gradient = new Float32Array(2)
      let loss = 0
      y.forEach((target, i) => {
        const error = weights[0] * x[2 * i] + weights[1] * x[2 * i + 1] - target
        loss += (error * error) / 8
        for (let j = 0; j < 2; j++) gradient[j] += (2 * error * x[2 * i + j]) / 8
      })
      return { loss, gradients: new Map([['w', gradient]]), metrics: { first: weights[0] } }
    },
    evaluate: async () => ({ distance: Math.hypot(weights[0] - 2, weights[1] + 1) }),
    state: {
      save: () => ({ tensors: new Map(), state: random.state }),
      restore: ({ state }) => void (random.state = randomState.parse(state)),
    },
  }
}

describe('the training loop', () => {
  it('learns', async () => {
    const task = line()
    const longer = { ...settings, steps: 300 }
    expect(await train(task, longer, options())).toEqual({ kind: 'done', step: 300 })
    expect(task.weights[0]).toBeCloseTo(2, 1)
    expect(task.weights[1]).toBeCloseTo(-1, 1)
  })

  it('ends with the same weights, bit for bit, whether it was killed and resumed or not', async () => {
    const whole = line()
    let curve = new Curve()
    await train(whole, settings, { identity: 'line', onStep: (_, all) => (curve = all) })
    const killed = line()
    const controller = new AbortController()
    const stopAt = ({ step }: { step: number }): void => {
      if (step === 14) controller.abort()
    }
    await expect(
      train(killed, settings, options({ signal: controller.signal, onStep: stopAt })),
    ).rejects.toMatchObject({ code: 'run.cancelled' })
    const resumed = line()
    let again = new Curve()
    const steps: number[] = []
    const onStep: LoopOptions['onStep'] = ({ step }, all) => {
      steps.push(step)
      again = all
    }
    await train(resumed, settings, options({ resume: true, onStep }))
    expect(steps[0]).toBe(12)
    expect(resumed.weights).toEqual(whole.weights)
    expect(again.steps).toEqual(curve.steps)
    expect(again.evaluations).toEqual(curve.evaluations)
  })

  it('pauses behind a checkpoint of its own', async () => {
    const controller = new AbortController()
    const onStep: LoopOptions['onStep'] = ({ step }) => {
      if (step === 2) controller.abort()
    }
    const outcome = await train(line(), settings, options({ pause: controller.signal, onStep }))
    expect(outcome).toEqual({ kind: 'paused', step: 3 })
    expect((await loadCheckpoint(checkpoint))?.state).toMatchObject({ step: 3 })
  })

  it('stops where the loss is no number, says where, and keeps the last good checkpoint', async () => {
    const task = line(21)
    await expect(train(task, settings, options())).rejects.toMatchObject({
      code: 'run.failed',
      field: 'w',
      message: 'The loss is NaN at step 10; first in w. The checkpoint of step 6 was kept.',
    })
    const saved = await loadCheckpoint(checkpoint)
    expect(saved?.state).toMatchObject({ step: 6 })
    expect([...(saved?.tensors.get('parameter/w')?.data ?? [NaN])].every(Number.isFinite)).toBe(true)
    expect([...task.weights].every(Number.isFinite)).toBe(true)
  })

  it('keeps the checkpoint before, whole, when the disk fills up at any point of the next', async () => {
    await train(line(), { ...settings, steps: 6 }, options())
    const before = readFileSync(checkpoint)
    for (let n = 1; n <= 7; n++) {
      const { fs } = failingFs(n, 'ENOSPC')
      await expect(train(line(), { ...settings, steps: 6 }, options({ fs }))).rejects.toMatchObject({
        code: 'disk.full',
        message: expect.stringContaining('no checkpoint yet') as string,
      })
      expect(readFileSync(checkpoint).equals(before)).toBe(true)
    }
    const { fs } = failingFs(3, 'ENOSPC')
    await expect(train(line(), settings, options({ fs, resume: true }))).rejects.toMatchObject({
      message: expect.stringContaining('The checkpoint of step 6 was kept.') as string,
    })
    const after = await train(line(), settings, options({ resume: true }))
    expect(after.step).toBe(20)
  })

  it('refuses the checkpoint of another run and one that is damaged', async () => {
    await train(line(), { ...settings, steps: 6 }, options())
    await expect(train(line(), settings, options({ resume: true, identity: 'other' }))).rejects.toMatchObject(
      { code: 'model.mismatch' },
    )
    const bytes = readFileSync(checkpoint)
    bytes[bytes.length - 3] ^= 1
    writeFileSync(checkpoint, bytes)
    await expect(train(line(), settings, options({ resume: true }))).rejects.toMatchObject({
      code: 'file.malformed',
    })
  })

  it('averages over micro-batches as over one batch of all their rows', async () => {
    const one = line()
    const two = line()
    const rows: Batch[] = []
    const joined: TrainingTask<Batch> = {
      ...one,
      next: async () => {
        const [a, b] = [await two.next(), await two.next()]
        if (a === null || b === null) return null
        rows.push(a, b)
        return { x: Float32Array.of(...a.x, ...b.x), y: Float32Array.of(...a.y, ...b.y) }
      },
      compute: async ({ x, y }) => {
        const half = (from: number): Batch => ({
          x: x.subarray(from * 16, from * 16 + 16),
          y: y.subarray(from * 8, from * 8 + 8),
        })
        const [a, b] = [await one.compute(half(0)), await one.compute(half(1))]
        const mean = (name: string): Float32Array =>
          (a.gradients.get(name) ?? new Float32Array()).map(
            (g, i) => (g + (b.gradients.get(name)?.[i] ?? NaN)) / 2,
          )
        return { loss: (a.loss + b.loss) / 2, gradients: new Map([['w', mean('w')]]) }
      },
    }
    const separate = line()
    await train(separate, settings, { identity: 'line' })
    await train(joined, { ...settings, accumulate: 1 }, { identity: 'line' })
    expect(rows.length).toBe(40)
    expect(one.weights[0]).toBeCloseTo(separate.weights[0], 5)
    expect(one.weights[1]).toBeCloseTo(separate.weights[1], 5)
  })

  it('ends early, behind a checkpoint, where the data ends', async () => {
    const task = line()
    let left = 7
    const next = task.next.bind(task)
    const outcome = await train(
      { ...task, next: async () => (left-- > 0 ? next() : null) },
      settings,
      options(),
    )
    expect(outcome).toEqual({ kind: 'ended', step: 3 })
    expect((await loadCheckpoint(checkpoint))?.state).toMatchObject({ step: 3 })
  })

  it('writes its curve as CSV and JSON', async () => {
    const base = path.join(folder, 'curve')
    const onCheckpoint: LoopOptions['onCheckpoint'] = (_, curve) => curve.write(base)
    await train(line(), { ...settings, steps: 6 }, options({ onCheckpoint }))
    const [head, first, ...rest] = readFileSync(`${base}.csv`, 'utf8').trimEnd().split('\n')
    expect(head).toBe('step,loss,rate,gradient_norm,first')
    expect(first.split(',').map(Number)).toMatchObject([
      0,
      expect.closeTo(4.5, -1),
      0.0125,
      expect.any(Number),
      0,
    ])
    expect(rest).toHaveLength(5)
    const json = JSON.parse(readFileSync(`${base}.json`, 'utf8')) as { evaluations: unknown[] }
    expect(json.evaluations).toMatchObject([{ step: 5 }, { step: 6 }])
  })
})
