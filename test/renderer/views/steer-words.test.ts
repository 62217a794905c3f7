/** What the Steer view says of presets, comparisons and continuations. */
import { describe, expect, it } from 'vitest'
import type { SteerStep } from '../../../preload/views'
import {
  misfit,
  operationText,
  promptFor,
  promptMismatch,
  strengthStep,
} from '../../../renderer/views/steer/preset-words'
import { steerCommand, steerJson } from '../../../renderer/views/steer/steer-command'
import { stream, summarise } from '../../../renderer/views/steer/streams'
import { syntheticModel, syntheticToken } from '../support/synthetic-model'
import { syntheticPreset } from '../support/synthetic-presets'

const model = syntheticModel()

describe('a preset in words', () => {
  it('says why it does not fit a model: weights, tokenizer, or a chat template that it uses', () => {
    const preset = syntheticPreset(model)
    expect(misfit(preset, model)).toBeNull()
    expect(misfit(preset, { ...model, fingerprint: '00'.repeat(32) })).toContain('another model')
    expect(misfit(preset, { ...model, tokenizerHash: '00'.repeat(32) })).toContain('another tokenizer')
    const changed = { ...model, templateHash: '00'.repeat(32) }
    expect(misfit(preset, changed)).toBeNull()
    const chat = syntheticPreset(model, { prompting: { bos: 'model', template: 'chat' } })
    expect(misfit(chat, changed)).toContain('another chat template')
  })

  it('makes its example the way it was made itself, and says where a prompt is made otherwise', () => {
    const plain = syntheticPreset(model, { prompting: { bos: 'never', template: 'none' } })
    const chat = syntheticPreset(model, { prompting: { bos: 'model', template: 'chat' } })
    expect(promptFor('Hi', plain)).toEqual({ kind: 'text', text: 'Hi', bos: 'never' })
    expect(promptFor('Hi', chat)).toMatchObject({ kind: 'chat', messages: [{ role: 'user', content: 'Hi' }] })
    expect(promptMismatch(promptFor('Hi', plain), plain)).toBeNull()
    expect(promptMismatch(promptFor('Hi', plain), chat)).toContain('plain text')
    expect(promptMismatch({ kind: 'text', text: 'Hi', bos: 'always' }, plain)).toContain('BOS “never”')
  })

  it('gives the slider even steps, and says what a clamp does', () => {
    expect(strengthStep({ default: 1, minimum: -3, maximum: 3 })).toBeCloseTo(0.05)
    expect(strengthStep({ default: 0, minimum: 0, maximum: 400 })).toBeCloseTo(2)
    const [site] = syntheticPreset(model).sites
    expect(operationText({ ...site, operation: 'clamp', target: 2 })).toBe('clamp: x·d̂ becomes 2·s')
  })
})

describe('a comparison to be repeated elsewhere', () => {
  const request = {
    model: model.handle,
    prompt: { kind: 'text' as const, text: "it's; rm -rf $HOME", bos: 'model' as const },
    preset: 'happy-stories',
    strength: -0.5,
    sampling: { temperature: 0.8, topK: 5, topP: 0.9, seed: 3 },
    maxTokens: 12,
  }

  it('is a command line whose prompt no shell can take for anything else', () => {
    expect(steerCommand(request, model)).toBe(
      'npx patchbay generate --model abababababababab --provider cpu --preset happy-stories --strength=-0.5 ' +
        "--max-tokens 12 --temperature 0.8 --top-k 5 --top-p 0.9 --seed 3 --prompt='it'\\''s; rm -rf $HOME'",
    )
  })

  it('is no command line where that can not say how the prompt is made', () => {
    expect(steerCommand({ ...request, prompt: { kind: 'text', text: 'a', bos: 'never' } }, model)).toBeNull()
    const turn = { role: 'user' as const, content: 'Hi' }
    expect(steerCommand({ ...request, prompt: { kind: 'chat', messages: [turn] } }, model)).toContain(
      "--chat --prompt='Hi'",
    )
    const turns = [turn, { role: 'assistant' as const, content: 'Hello' }, turn]
    expect(steerCommand({ ...request, prompt: { kind: 'chat', messages: turns } }, model)).toBeNull()
  })

  it('is JSON that names the model by its fingerprint', () => {
    expect(JSON.parse(steerJson(request, model))).toEqual({
      call: 'steer.compare',
      fingerprint: model.fingerprint,
      input: request,
    })
  })
})

describe('both continuations', () => {
  const step = (
    i: number,
    baseline: number | null,
    steered: number | null,
    divergence: number | null,
  ): SteerStep => ({
    step: i,
    baseline: baseline === null ? null : syntheticToken(baseline),
    steered: steered === null ? null : syntheticToken(steered),
    baselineLogProb: -1,
    steeredLogProb: -1,
    divergence,
  })
  const steps = [step(0, 5, 5, 0.1), step(1, 6, 7, 0.5), step(2, null, 1, 0.3)]

  it('are marked where they differ, also where one has ended', () => {
    expect(stream(steps, 'baseline').map((token) => token.differs)).toEqual([false, true])
    expect(stream(steps, 'steered').map((token) => token.differs)).toEqual([false, true, true])
    expect(stream(steps, 'steered')[2]).toMatchObject({ label: '⏎', breaks: true, divergence: 0.3 })
  })

  it('are summed up: first difference, how many, mean and largest KL', () => {
    expect(summarise(steps)).toEqual({
      firstDifference: 1,
      differing: 2,
      steps: 3,
      meanDivergence: (0.1 + 0.5 + 0.3) / 3,
      largestDivergence: 0.5,
    })
    expect(summarise([])).toMatchObject({ firstDifference: null, meanDivergence: null })
  })
})
