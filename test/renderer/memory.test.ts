import { flushPromises, mount } from '@vue/test-utils'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ModelForecast } from '../../preload/forecast'
import { budgetSteps } from '../../renderer/components/format'
import MemoryChoice from '../../renderer/components/MemoryChoice.vue'
import MemoryDialog from '../../renderer/components/MemoryDialog.vue'
import { choiceFor } from '../../renderer/stores/choice-memory'
import { useMemoryQuestion } from '../../renderer/stores/memory-question'
import { useModels } from '../../renderer/stores/models'
import { describeModel } from './support/fake-model'
import { setUp } from './support/setup'

const path = '/models/large.gguf'
const location = { kind: 'path' as const, path }
const tooLarge: ModelForecast = {
  forecasts: [
    { precision: 'float32', whole: 9e9, least: 2e9 },
    { precision: 'quantised', whole: 3e9, least: 1e9 },
  ],
  available: 4e9,
  fits: false,
  choices: [
    { precision: 'quantised', memoryBudget: null, bytes: 3e9 },
    { precision: 'float32', memoryBudget: 4e9, bytes: 4e9 },
  ],
  advice: 'Open it in quantised, which takes about 3000 MB.',
}
beforeEach(() => {
  localStorage.clear()
  document.body.innerHTML = ''
})

/** Opens a model that does not fit, up to the question. */
async function asked(forecast: ModelForecast = tooLarge) {
  const { engine } = setUp()
  engine.handlers['model.forecast'] = () => forecast
  engine.handlers['model.open'] = (source) => ({ ...describeModel(), source, precision: source.precision })
  mount(MemoryDialog, { attachTo: document.body })
  const opened = useModels().openPath(path)
  await flushPromises()
  const click = async (name: string): Promise<void> => {
    const buttons = [...document.body.querySelectorAll('button')]
    buttons.find((button) => button.textContent?.trim() === name)?.click()
    await flushPromises()
  }
  return { engine, opened, click, text: () => document.body.textContent ?? '' }
}

describe('a model that will not fit into memory', () => {
  it('is not loaded before the person chose one of the ways that fit, which is then kept', async () => {
    const { engine, opened, click, text } = await asked()
    expect(engine.names()).not.toContain('model.open')
    expect(text()).toContain('large.gguf may not fit into memory')
    expect(text()).toContain('In float32 it takes about 8.38 GiB')
    await click('Open in quantised')
    expect(await opened).toBe(true)
    expect(engine.last('model.open').input).toMatchObject({ precision: 'quantised', memoryBudget: null })
    expect(choiceFor(location)).toEqual({ precision: 'quantised', memoryBudget: null })
    expect(useMemoryQuestion().shown).toBeNull()
  })

  it('can be opened within a budget, block by block', async () => {
    const { engine, opened, click } = await asked()
    await click('Open in float32 within 3.73 GiB')
    expect(await opened).toBe(true)
    expect(engine.last('model.open').input).toMatchObject({ precision: 'float32', memoryBudget: 4e9 })
  })

  it('can be opened all the same, or left', async () => {
    const first = await asked()
    await first.click('Open all the same')
    expect(await first.opened).toBe(true)
    expect(first.engine.last('model.open').input).toMatchObject({ precision: 'float32', memoryBudget: null })
    document.body.innerHTML = ''
    const second = await asked()
    await second.click('Close')
    expect(await second.opened).toBe(false)
    expect(second.engine.names()).not.toContain('model.open')
    expect(useModels().opening).toBeNull()
  })

  it('says what it needs where nothing fits', async () => {
    const advice = 'It needs a memory budget of 1000 MB at the least, in quantised.'
    const { text } = await asked({ ...tooLarge, available: 5e8, choices: [], advice })
    expect(text()).toContain(advice)
    useMemoryQuestion().close(null)
  })
})

describe('a model that fits', () => {
  it('opens at once', async () => {
    const { engine, opened } = await asked({ ...tooLarge, available: 1e10, fits: true })
    expect(await opened).toBe(true)
    expect(useMemoryQuestion().shown).toBeNull()
    expect(engine.names().filter((name) => name.startsWith('model.'))).toEqual([
      'model.forecast',
      'model.open',
    ])
  })

  it('reports what is wrong with its files when they are read for the forecast', async () => {
    const { engine } = setUp()
    engine.handlers['model.forecast'] = () => {
      throw new Error('broken')
    }
    expect(await useModels().openPath(path)).toBe(false)
    expect(useModels().failure?.error.message).toContain('broken')
    expect(engine.names()).not.toContain('model.open')
  })
})

describe('the memory of the open model', () => {
  it('is limited in steps from the least to all, which are within both', () => {
    for (const forecast of tooLarge.forecasts) {
      const steps = budgetSteps(forecast)
      expect(steps.length).toBeGreaterThan(1)
      expect(steps).toEqual([...steps].sort((a, b) => a - b))
      for (const step of steps) {
        expect(step).toBeGreaterThanOrEqual(forecast.least)
        expect(step).toBeLessThan(forecast.whole)
      }
    }
  })

  it('is chosen in the menu, and kept for that model', async () => {
    const { engine } = setUp()
    engine.handlers['model.forecast'] = () => ({ ...tooLarge, fits: true })
    engine.handlers['model.open'] = (source) => ({
      ...describeModel(),
      source,
      handle: String(source.memoryBudget),
    })
    const models = useModels()
    await models.openPath(path)
    const choice = mount(MemoryChoice)
    await flushPromises()
    expect(choice.text()).toContain('as much as it needs')
    expect(choice.get('button').attributes('disabled')).toBeUndefined()
    await models.chooseBudget(2e9)
    await flushPromises()
    expect(engine.last('model.open').input).toMatchObject({ memoryBudget: 2e9 })
    expect(choice.text()).toContain('at most 1.86 GiB')
    expect(choiceFor(location)).toMatchObject({ memoryBudget: 2e9 })
  })

  it('is no choice for an exported graph', async () => {
    setUp()
    useModels().current = describeModel()
    const choice = mount(MemoryChoice)
    await flushPromises()
    expect(choice.get('button').attributes('disabled')).toBeDefined()
  })
})
