import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import type { SteerStep } from '../../../preload/views'
import { useInspector } from '../../../renderer/stores/inspector'
import { useNotices } from '../../../renderer/stores/notices'
import {
  isSwitch,
  misfit,
  operationText,
  promptFor,
  promptMismatch,
  strengthStep,
} from '../../../renderer/views/steer/preset-words'
import { steerCommand, steerJson } from '../../../renderer/views/steer/steer-command'
import SteerView from '../../../renderer/views/steer/SteerView.vue'
import { stream, summarise } from '../../../renderer/views/steer/streams'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'
import { syntheticModel, syntheticToken } from '../support/synthetic-model'
import { syntheticPreset, syntheticSteps } from '../support/synthetic-presets'

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

  it('gives the slider even steps, and a removal only on and off', () => {
    expect(strengthStep({ default: 1, minimum: -3, maximum: 3 })).toBeCloseTo(0.05)
    expect(strengthStep({ default: 0, minimum: 0, maximum: 400 })).toBeCloseTo(2)
    const [site] = syntheticPreset(model).sites
    expect(isSwitch(syntheticPreset(model, { sites: [{ ...site, operation: 'remove' }] }))).toBe(true)
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

describe('the steer view', () => {
  withLayout()
  let mounted: MountedView | null = null
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true, advanceTimeDelta: 5 })
  })
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
    vi.useRealTimers()
  })
  async function open(answers: Answers = {}): Promise<MountedView> {
    mounted = await mountView(SteerView, syntheticEngine(answers))
    await settle()
    return mounted
  }
  const button = ({ view }: MountedView, text: string) => {
    const found = view.findAll('button').find((candidate) => candidate.text() === text)
    if (found === undefined) throw new Error(`no button ${text}`)
    return found
  }
  const everywhere = (selector: string) => Array.from(document.querySelectorAll<HTMLElement>(selector))
  const words = ({ view }: MountedView, label: string) =>
    view
      .get(`[aria-label="${label}"]`)
      .findAll('.text')
      .map((token) => token.text())
  const runs = ({ engine }: MountedView) => engine.made.filter(({ name }) => name === 'steer.compare')
  const choose = async (opened: MountedView, name: string) => {
    await opened.view
      .findAll('.preset')
      .filter((candidate) => candidate.text().startsWith(name))[0]
      .trigger('click')
    await settle()
  }
  const setStrength = async ({ view }: MountedView, value: string) => {
    const input = view.get<HTMLInputElement>('[aria-label="Strength, number"]')
    input.element.value = value
    await input.trigger('change')
  }
  /** A run that reports one step at a time, when it is told to. */
  function slow() {
    let release: (() => void) | null = null
    const signals: AbortSignal[] = []
    const answers: Answers = {
      'steer.compare': async ({ strength, maxTokens }, { signal, progress }) => {
        signals.push(signal)
        for (const step of syntheticSteps(maxTokens, strength)) {
          await new Promise<void>((resolve) => (release = resolve))
          if (signal.aborted) throw new PatchbayError('run.cancelled', 'Cancelled.')
          progress(step)
        }
        throw new PatchbayError('run.failed', 'never reached')
      },
    }
    return {
      answers,
      signals,
      step: async () => {
        release?.()
        await settle()
        await vi.advanceTimersByTimeAsync(50)
      },
    }
  }

  it('runs a preset that fits at once, on its own example, at its default strength', async () => {
    const opened = await open()
    expect(runs(opened).map(({ input }) => input)).toMatchObject([
      {
        preset: 'happy-stories',
        strength: 1,
        prompt: { kind: 'text', text: 'Mary went to the park and', bos: 'model' },
      },
    ])
    expect(words(opened, 'Baseline continuation')).toHaveLength(48)
    expect(opened.view.get('.summary').text()).toMatch(
      /first different token: 3 · 45 of 48 differ · mean KL [\d.]+ nats/,
    )
  })

  it('shows tokens as they arrive and stops when told, keeping what there is', async () => {
    const { answers, signals, step } = slow()
    const opened = await open(answers)
    await step()
    await step()
    expect(words(opened, 'Steered continuation')).toHaveLength(2)
    await button(opened, 'Stop').trigger('click')
    await settle()
    expect(signals[0].aborted).toBe(true)
    expect(words(opened, 'Steered continuation')).toHaveLength(2)
    expect(opened.view.find('[role=alert]').exists()).toBe(false)
    expect(button(opened, 'Run again').exists()).toBe(true)
  })

  it('cancels the run when the strength changes, and starts one after a pause for several changes', async () => {
    const { answers, signals, step } = slow()
    const opened = await open(answers)
    await step()
    await setStrength(opened, '2')
    await setStrength(opened, '2.5')
    expect(signals[0].aborted).toBe(true)
    await vi.advanceTimersByTimeAsync(400)
    await settle()
    expect(runs(opened).map(({ input }) => input)).toMatchObject([{ strength: 1 }, { strength: 2.5 }])
    await step()
    expect(words(opened, 'Steered continuation')).toHaveLength(1)
  })

  it('keeps strengths within the preset’s range and goes back to its default', async () => {
    const opened = await open()
    await setStrength(opened, '99')
    await vi.advanceTimersByTimeAsync(400)
    expect(runs(opened).at(-1)?.input).toMatchObject({ strength: 3 })
    await opened.view.get('[aria-label="Back to the preset’s 1"]').trigger('click')
    await vi.advanceTimersByTimeAsync(400)
    expect(runs(opened).at(-1)?.input).toMatchObject({ strength: 1 })
  })

  it('marks differing tokens, draws KL bars on a numeric scale, and shows hostile tokens as text', async () => {
    const { view } = await open()
    const steered = view.get('[aria-label="Steered continuation"]')
    expect(steered.findAll('.differs')).toHaveLength(45)
    expect(steered.findAll('.bar')).toHaveLength(48)
    expect(view.text()).toContain('bars from 0 to 1 nats')
    expect(steered.text()).toContain('<img·src=x·onerror=alert(1)>')
    expect(view.find('img').exists()).toBe(false)
  })

  it('does not run a preset of another model, and says why', async () => {
    const opened = await open()
    await choose(opened, 'Formal tone')
    await vi.advanceTimersByTimeAsync(400)
    expect(opened.view.get('.reason[role=note]').text()).toContain('Made for SmolLM2-135M, another model.')
    expect(runs(opened)).toHaveLength(1)
  })

  it('lists files that can not be read with what is wrong with them', async () => {
    const { view } = await open()
    const broken = view.get('.broken').text()
    expect(broken).toContain('half-written.json')
    expect(broken).toContain('ends in the middle of a string')
    expect(broken).toContain('Restore it from a copy')
  })

  it('uses the prompt bar where a preset has no example', async () => {
    const opened = await open()
    await choose(opened, 'Without names')
    await vi.advanceTimersByTimeAsync(400)
    await settle()
    expect(runs(opened).at(-1)?.input).toMatchObject({
      preset: 'no-names',
      prompt: { kind: 'text', text: 'When Mary and John went to the store , John gave a drink to' },
    })
  })

  it('shows an error of the run with its next step, and runs again', async () => {
    let failures = 1
    const answer = syntheticEngine().answers['steer.compare']
    const opened = await open({
      'steer.compare': (input, context) => {
        if (failures-- > 0 || answer === undefined)
          throw new PatchbayError('prompt.too-long', 'The prompt and 48 tokens exceed the context.', {
            next: 'Shorten it.',
          })
        return answer(input, context)
      },
    })
    expect(opened.view.get('[role=alert]').text()).toContain('Shorten it.')
    await button(opened, 'Try again').trigger('click')
    await settle()
    expect(words(opened, 'Baseline continuation')).toHaveLength(48)
  })

  it('makes a preset from pairs, shows how well it separates them, and selects it', async () => {
    const opened = await open()
    await button(opened, 'New from pairs').trigger('click')
    expect(button(opened, 'Make the preset').attributes('disabled')).toBeDefined()
    for (const [side, text] of [
      ['positive', 'The bear was happy'],
      ['negative', 'The bear was sad'],
    ])
      await opened.view.get(`[aria-label="Pair 1, ${side}"]`).setValue(text)
    await opened.view.get('.wide input').setValue('Glad')
    await opened.view.get('form').trigger('submit')
    await settle(20)
    expect(opened.engine.made.find(({ name }) => name === 'steer.fromPairs')?.input).toMatchObject({
      name: 'Glad',
      hook: 'blocks.1.hook_resid_post',
      pairs: [{ positive: 'The bear was happy', negative: 'The bear was sad' }],
      position: 'last',
    })
    expect(opened.view.get('.card h2').text()).toBe('Glad')
    expect(opened.view.text()).toMatch(/\d+ % of 1 pairs|\d+\.\d % of 1 pairs/)
    expect(opened.view.get('.preset[aria-current]').text()).toContain('Glad')
  })

  it('refuses a half-written pair before anything runs', async () => {
    const opened = await open()
    await button(opened, 'New from pairs').trigger('click')
    await opened.view.get('[aria-label="Pair 2, positive"]').setValue('only this side')
    await opened.view.get('[aria-label="Pair 1, positive"]').setValue('a')
    await opened.view.get('[aria-label="Pair 1, negative"]').setValue('b')
    expect(opened.view.get('.missing').text()).toBe('Pair 2 has only one side.')
    await opened.view.get('[aria-label="Remove pair 2"]').trigger('click')
    expect(opened.view.get('.missing').text()).toBe('Give it a name.')
  })

  it('imports pairs from a file, and takes nothing over from a broken one', async () => {
    const opened = await open()
    await button(opened, 'New from pairs').trigger('click')
    const importPairs = async (text: string) => {
      opened.shell.toOpen = { name: 'pairs.csv', bytes: new TextEncoder().encode(text) }
      await opened.view
        .get('.pairs')
        .findAll('button')
        .filter((b) => b.text() === 'Import…')[0]
        .trigger('click')
      await settle()
    }
    await importPairs('positive,negative\na,b\nc\n')
    expect(useNotices().notices.at(-1)).toMatchObject({
      code: 'file.malformed',
      place: 'pairs.csv, field line 3',
    })
    expect(opened.view.get('.count').text()).toBe('0 complete')
    await importPairs('positive,negative\na,b\nc,d\n')
    expect(opened.view.get('.count').text()).toBe('2 complete')
  })

  it('deletes an own preset only after it was confirmed', async () => {
    const opened = await open()
    await choose(opened, 'Formal tone')
    await button(opened, 'Delete…').trigger('click')
    await settle()
    expect(opened.engine.made.some(({ name }) => name === 'preset.delete')).toBe(false)
    everywhere('[role=alertdialog] button')
      .find((b) => b.textContent?.trim() === 'Delete')
      ?.click()
    await settle()
    expect(opened.engine.made.find(({ name }) => name === 'preset.delete')?.input).toEqual({
      id: 'other-model',
    })
    expect(opened.view.text()).not.toContain('Formal tone')
  })

  it('saves a copy of a bundled preset with its vectors under a new name', async () => {
    const opened = await open()
    await button(opened, 'Copy and edit…').trigger('click')
    await settle()
    everywhere('[role=dialog] button')
      .find((b) => b.textContent?.trim() === 'Save as a copy')
      ?.click()
    await settle(20)
    const made = opened.engine.made
      .map(({ name }) => name)
      .filter((name) => name.startsWith('preset.') && name !== 'preset.list')
    expect(made).toEqual(['preset.export', 'preset.import', 'preset.save'])
    expect(opened.engine.made.find(({ name }) => name === 'preset.save')?.input).toMatchObject({
      preset: { id: 'imported', name: 'Happy stories (copy)' },
    })
  })

  it('exports a preset as a file', async () => {
    const opened = await open()
    await button(opened, 'Export…').trigger('click')
    await settle()
    expect(opened.shell.saved).toMatchObject([
      { suggestedName: 'happy-stories.patchbay-preset', bytes: Uint8Array.of(80, 75) },
    ])
  })

  it('explains the preset in the inspector', async () => {
    await open()
    useInspector().follow('steer')
    expect(useInspector().subject).toMatchObject({
      title: 'Happy stories · strength 1',
      hook: 'blocks.2.hook_resid_post',
    })
  })

  it('is accessible, the form for a new preset too', async () => {
    const opened = await open()
    expect(await violations()).toEqual([])
    await button(opened, 'New from pairs').trigger('click')
    expect(await violations()).toEqual([])
  })
})
