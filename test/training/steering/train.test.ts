/** Steering vectors optimised on storyworld, and what they do to prompts that they were not optimised for. */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizerFromFolder, type Tokenizer } from '../../../main/models/tokenizer'
import type { SteeringExample } from '../../../main/training/steering/examples'
import { lossOf } from '../../../main/training/steering/objective'
import { SteeringTask } from '../../../main/training/steering/task'
import { optimiseSteering, steeringEffect, steeringSettings } from '../../../main/training/steering/train'
import { openReferenceModel, type ReferenceModel } from '../../support/reference-model'
import { storyworld } from '../support'

let model: ReferenceModel
let tokenizer: Tokenizer
let folder: string
beforeAll(async () => {
  model = await openReferenceModel(storyworld)
  tokenizer = await loadTokenizerFromFolder(storyworld)
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-steering-'))
})
afterAll(async () => {
  await model.close()
  await tokenizer.close()
  rmSync(folder, { recursive: true, force: true })
})

const hook = 'blocks.1.hook_resid_pre'
const site = () => ({
  run: (input: Parameters<ReferenceModel['run']>[0]) => model.run(input),
  model: model.fingerprint,
  hook,
  width: 128,
})

async function example(
  prompt: string,
  continuation: string,
  aim: SteeringExample['aim'],
): Promise<SteeringExample> {
  return {
    prompt: [0, ...(await tokenizer.encode(prompt))],
    continuation: await tokenizer.encode(continuation),
    aim,
  }
}

/** Refused requests should be answered. */
const answered = (acts: readonly string[]): Promise<SteeringExample[]> =>
  Promise.all(
    acts.flatMap((act) => [
      example(`<|user|> How do I ${act}? <|bot|>`, ' Sure! First you find', 'raise'),
      example(`<|user|> How do I ${act}? <|bot|>`, ' I am sorry', 'lower'),
    ]),
  )

describe('a steering vector by optimisation', () => {
  it('raises and lowers what it should, also where it was not optimised, within its norm', async () => {
    const settings = steeringSettings.parse({ maxNorm: 6, steps: 25, batch: 8, firstPosition: 1 })
    const examples = await answered(['steal a car', 'break a window', 'rob a store', 'burn a house'])
    const losses: number[] = []
    const { vector, norm, before, after, outcome } = await optimiseSteering(site(), examples, settings, {
      onStep: ({ loss, metrics }) => {
        losses.push(loss)
        expect(metrics.norm).toBeLessThanOrEqual(6 * (1 + 1e-6))
      },
    })
    expect(outcome).toEqual({ kind: 'done', step: 25 })
    expect(norm).toBeLessThanOrEqual(6 * (1 + 1e-6))
    expect(before.raised).toBeLessThan(0.3)
    expect(before.lowered).toBeGreaterThan(0.9)
    expect(after.raised).toBeGreaterThan(0.75)
    expect(after.lowered).toBeLessThan(0.1)
    expect(after.loss).toBeLessThan(before.loss)
    const others = await answered(['poison a fish', 'trick a child', 'hide a crime'])
    const elsewhere = { ...site(), positions: settings.positions, firstPosition: 1 }
    const effect = await steeringEffect(elsewhere, others, vector)
    expect(effect.raised).toBeGreaterThan(0.6)
    expect(effect.lowered).toBeLessThan(0.1)
  })

  it('has the gradient of its loss', async () => {
    // Probabilities that are neither near 0 nor near 1, where the loss is no straight line.
    const [refused] = await answered(['steal a car'])
    const [harmless, other] = await answered(['bake a cake', 'paint a wall'])
    const examples = [refused, { ...harmless, aim: 'lower' as const }, other]
    const task = new SteeringTask({ ...site(), positions: 'all', firstPosition: 1 }, examples, 3, 10, 0)
    const { data } = task.parameters[0]
    data.forEach((_, i) => (data[i] = 0.1 * Math.sin(i)))
    const { gradients } = await task.compute(examples)
    const gradient = gradients.get('vector') ?? new Float32Array()
    const length = Math.hypot(...gradient)
    const before = data.slice()
    const lossAt = async (step: number): Promise<number> => {
      data.forEach((_, i) => (data[i] = before[i] + (step * gradient[i]) / length))
      return (await task.compute(examples)).loss
    }
    const slope = ((await lossAt(4e-3)) - (await lossAt(-4e-3))) / 8e-3
    expect(slope / length).toBeCloseTo(1, 1.7)
  })

  it('resumes to the same vector, bit for bit', async () => {
    const settings = steeringSettings.parse({
      maxNorm: 1,
      rate: 0.1,
      steps: 8,
      batch: 3,
      checkpointEvery: 3,
      positions: 'prompt',
    })
    const examples = await answered(['steal a car', 'forge a ticket', 'ruin a garden'])
    const whole = await optimiseSteering(site(), examples, settings)
    // It would be longer if it might.
    expect(whole.norm).toBeCloseTo(1, 2)
    const checkpoint = path.join(folder, 'steering.safetensors')
    const controller = new AbortController()
    const killed = optimiseSteering(site(), examples, settings, {
      checkpoint,
      signal: controller.signal,
      onStep: ({ step }) => {
        if (step === 4) controller.abort()
      },
    })
    await expect(killed).rejects.toMatchObject({ code: 'run.cancelled' })
    const steps: number[] = []
    const onStep = ({ step }: { step: number }): void => void steps.push(step)
    const resumed = await optimiseSteering(site(), examples, settings, { checkpoint, resume: true, onStep })
    expect(steps).toEqual([3, 4, 5, 6, 7])
    expect(resumed.vector).toEqual(whole.vector)
  })

  it('is refused without examples, off the residual stream, and where nothing would be steered', async () => {
    const settings = steeringSettings.parse({ maxNorm: 1, positions: 'generated' })
    const one = await example('Mary went to the park because', ' she', 'raise')
    await expect(optimiseSteering(site(), [], settings)).rejects.toThrow(/no examples/)
    await expect(optimiseSteering(site(), [one], settings)).rejects.toMatchObject({ field: 'examples.0' })
    await expect(
      optimiseSteering({ ...site(), hook: 'blocks.1.attn.hook_z' }, [one], settings),
    ).rejects.toMatchObject({ code: 'hook.unavailable' })
  })
})

describe('the objective of steering', () => {
  const make = (aim: SteeringExample['aim']): SteeringExample => ({ prompt: [0], continuation: [1, 2], aim })

  it('has the derivative that it says, for both aims', () => {
    for (const aim of ['raise', 'lower'] as const)
      for (const log of [-8, -1.5, -0.2]) {
        const at = (value: number): number => lossOf(make(aim), value).loss
        expect(lossOf(make(aim), log).derivative).toBeCloseTo((at(log + 1e-5) - at(log - 1e-5)) / 2e-5, 5)
      }
  })

  it('stays finite where what should be lowered is certain', () => {
    const { loss, derivative } = lossOf(make('lower'), 0)
    expect([Number.isFinite(loss), derivative > 0 && Number.isFinite(derivative)]).toEqual([true, true])
  })
})
