import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import { useInspector } from '../../../renderer/stores/inspector'
import { useNotices } from '../../../renderer/stores/notices'
import SteerView from '../../../renderer/views/steer/SteerView.vue'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'
import { syntheticSteps } from '../support/synthetic-presets'

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
