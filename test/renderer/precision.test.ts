import { mount } from '@vue/test-utils'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ModelDescription } from '../../preload/model'
import { precisions } from '../../preload/run'
import { isQuantisedStorage, precisionWords } from '../../renderer/components/format'
import PrecisionChoice from '../../renderer/components/PrecisionChoice.vue'
import { useModels } from '../../renderer/stores/models'
import { choiceFor, rememberChoice } from '../../renderer/stores/choice-memory'
import { describeModel } from './support/fake-model'
import { setUp } from './support/setup'

const at = (path: string) => ({ kind: 'path' as const, path })
const gguf = (path: string, storage: string): ModelDescription => {
  const model = describeModel()
  return {
    ...model,
    format: 'gguf',
    source: { ...model.source, location: at(path) },
    parameters: [{ ...model.parameters[0], storage }],
  }
}
beforeEach(() => {
  localStorage.clear()
})

describe('the choice of a precision', () => {
  const shown = (model: ModelDescription) => {
    setUp()
    useModels().current = model
    const choice = mount(PrecisionChoice)
    return { disabled: choice.get('button').attributes('disabled') !== undefined, text: choice.text() }
  }

  it('is there for GGUF files with quantised weights alone, and says so elsewhere', () => {
    expect(shown(gguf('/a.gguf', 'Q4_1'))).toMatchObject({ disabled: false })
    for (const model of [gguf('/a.gguf', 'F16'), describeModel()]) {
      const { disabled, text } = shown(model)
      expect(disabled).toBe(true)
      expect(text).toContain('only for GGUF files with quantised weights')
    }
  })

  it('explains every precision there is in one line', () => {
    for (const precision of precisions) expect(precisionWords[precision].hint).toMatch(/^[^\n]{20,100}$/)
    expect(shown(gguf('/a.gguf', 'Q4_1')).text).toContain(precisionWords.float32.hint)
  })

  it('knows types in blocks from plain numbers by their names', () => {
    for (const storage of ['Q4_1', 'Q8_0', 'Q4_K', 'IQ2_XS', 'TQ1_0', 'MXFP4'])
      expect(isQuantisedStorage(storage)).toBe(true)
    for (const storage of ['F32', 'F16', 'BF16', 'I8', 'F8_E4M3'])
      expect(isQuantisedStorage(storage)).toBe(false)
  })

  it('opens the model again in it, and is remembered for that model alone', async () => {
    const { engine } = setUp()
    const models = useModels()
    engine.handlers['model.open'] = (source) => ({
      ...gguf('/a.gguf', 'Q4_1'),
      handle: `a:${source.precision}`,
      precision: source.precision,
      source,
    })
    await models.openPath('/a.gguf')
    expect(engine.last('model.open').input).toMatchObject({ precision: 'float32' })
    await models.choosePrecision('quantised')
    expect(models.current?.precision).toBe('quantised')
    await models.openPath('/b.gguf')
    expect(engine.last('model.open').input).toMatchObject({ precision: 'float32' })
    await models.openPath('/a.gguf')
    expect(engine.last('model.open').input).toMatchObject({ precision: 'quantised' })
  })

  it('is not remembered where the model could not be opened in it', async () => {
    const { engine } = setUp()
    const models = useModels()
    await models.openPath('/a.gguf')
    engine.handlers['model.open'] = () => {
      throw new Error('no memory')
    }
    await models.choosePrecision('quantised')
    expect(choiceFor(at('/a.gguf')).precision).toBe('float32')
  })

  it('starts anew where what is stored makes no sense', () => {
    rememberChoice(at('/a.gguf'), { precision: 'quantised', memoryBudget: null })
    expect(choiceFor(at('/a.gguf')).precision).toBe('quantised')
    localStorage.setItem('patchbay.choices', '[["/a.gguf",{"precision":"int3","memoryBudget":null}]]')
    expect(choiceFor(at('/a.gguf')).precision).toBe('float32')
    localStorage.setItem('patchbay.choices', '{')
    expect(choiceFor(at('/a.gguf')).precision).toBe('float32')
  })
})
