import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import { locationName, useModels } from '../../renderer/stores/models'
import { firstPrompt, pause, specOf, usePrompt } from '../../renderer/stores/prompt'
import { describeModel } from './support/fake-model'
import { setUp } from './support/setup'

const flush = () => vi.advanceTimersByTimeAsync(0)

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the models', () => {
  it('open one, with progress, and close the one before', async () => {
    const { engine } = setUp()
    const models = useModels()
    await models.open({ location: { kind: 'embedded' } })
    expect(models.current?.name).toBe('storyworld')
    expect(models.library).toHaveLength(2)

    engine.handlers['model.open'] = () => describeModel({ layers: 2, heads: 2, name: 'other' })
    engine.held.add('model.open')
    const opening = models.openPath('/models/other.gguf')
    await flush()
    engine.say({
      type: 'progress',
      id: engine.last('model.open').id,
      value: { stage: 'hashing', fraction: 0.5, detail: 'other.gguf' },
    })
    expect(models.opening).toMatchObject({ name: 'other.gguf', progress: { stage: 'hashing' } })
    await engine.release('model.open')
    await opening
    expect(models.current?.name).toBe('other')
    expect(models.opening).toBeNull()
    expect(engine.last('model.close').input).toEqual({ model: 'storyworld:cpu:float32' })
  })

  it('keep the open model when another one fails, and say why', async () => {
    const { engine } = setUp()
    const models = useModels()
    await models.open({ location: { kind: 'embedded' } })
    engine.handlers['model.open'] = () => {
      throw new PatchbayError('model.unknown-architecture', 'MambaForCausalLM is not known.')
    }
    expect(await models.openPath('/models/mamba')).toBe(false)
    expect(models.failure?.error.code).toBe('model.unknown-architecture')
    expect(models.current?.name).toBe('storyworld')
  })

  it('do not call a cancelled opening a failure', async () => {
    const { engine } = setUp()
    const models = useModels()
    engine.held.add('model.open')
    const opening = models.openPath('/models/large')
    await flush()
    models.cancelOpening()
    expect(await opening).toBe(false)
    expect(models.failure).toBeNull()
    expect(models.opening).toBeNull()
  })

  it('let a second opening replace the first', async () => {
    const { engine } = setUp()
    const models = useModels()
    engine.held.add('model.open')
    const first = models.openPath('/models/a')
    await flush()
    const second = models.openPath('/models/b')
    await flush()
    await engine.release('model.open')
    expect([await first, await second]).toEqual([false, true])
    expect(engine.cancelled).toHaveLength(1)
  })

  it('open the model anew when a restarted engine does not know it', async () => {
    const { engine } = setUp()
    const models = useModels()
    await models.open({ location: { kind: 'embedded' } })
    engine.handlers['model.describe'] = () => {
      throw new PatchbayError('model.not-open', 'It is not open.')
    }
    await models.restore()
    expect(engine.names().filter((name) => name === 'model.open')).toHaveLength(2)
  })

  it('reopen the same model when another provider is chosen', async () => {
    const { engine } = setUp()
    const models = useModels()
    await models.open({ location: { kind: 'embedded' } })
    await models.chooseProvider('webgpu')
    expect(engine.last('model.open').input).toMatchObject({
      location: { kind: 'embedded' },
      provider: 'webgpu',
    })
  })

  it('are named by the last part of their path', () => {
    expect(locationName({ kind: 'path', path: '/models/SmolLM2/' })).toBe('SmolLM2')
    expect(locationName({ kind: 'path', path: 'C:\\models\\tiny.gguf' })).toBe('tiny.gguf')
    const snapshot = `/cache/hub/models--owner--tiny/snapshots/${'ab'.repeat(20)}`
    expect(locationName({ kind: 'path', path: snapshot })).toBe('owner/tiny')
  })
})

describe('the prompt', () => {
  it('starts with the one that shows something', () => {
    setUp()
    expect(specOf(usePrompt().drafts.A)).toEqual({ kind: 'text', text: firstPrompt, bos: 'model' })
  })

  it('is encoded once after a pause in typing', async () => {
    const { engine } = setUp()
    const prompt = usePrompt()
    await useModels().open({ location: { kind: 'embedded' } })
    for (const text of ['The', 'The sun', 'The sun was']) {
      prompt.setText('A', text)
      await vi.advanceTimersByTimeAsync(pause - 1)
    }
    expect(engine.names()).not.toContain('prompt.encode')
    expect(prompt.settled).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(engine.last('prompt.encode').input).toMatchObject({ prompt: { text: 'The sun was' } })
    expect(prompt.slots.A.encoded?.tokens.map(({ text }) => text)).toEqual(['The', ' sun', ' was'])
    expect(prompt.settled).toBe(true)
  })

  it('cancels the encoding of an older text and ignores its answer', async () => {
    const { engine } = setUp()
    const prompt = usePrompt()
    await useModels().open({ location: { kind: 'embedded' } })
    engine.held.add('prompt.encode')
    engine.obedient = false
    prompt.setText('A', 'old')
    await vi.advanceTimersByTimeAsync(pause)
    prompt.setText('A', 'new')
    await vi.advanceTimersByTimeAsync(pause)
    await engine.release('prompt.encode')
    await flush()
    expect(engine.cancelled).toHaveLength(1)
    expect(prompt.slots.A.encoded?.rendered).toBe('new')
  })

  it('keeps the same array of ids when an edit changes no id, so that nothing runs again', async () => {
    setUp()
    const prompt = usePrompt()
    await useModels().open({ location: { kind: 'embedded' } })
    await prompt.encode('A')
    const before = prompt.slots.A.tokens
    await prompt.encode('A')
    expect(prompt.slots.A.tokens).toBe(before)
  })

  it('shows an error beside the text and gives the views nothing to ask about', async () => {
    setUp()
    const prompt = usePrompt()
    await useModels().open({ location: { kind: 'embedded' } })
    prompt.setText('A', '')
    await vi.advanceTimersByTimeAsync(pause)
    expect(prompt.slots.A.error?.code).toBe('prompt.empty')
    expect(prompt.slots.A.tokens).toBeNull()
  })

  it('stays to be encoded when the engine stops meanwhile', async () => {
    const { engine, lose } = setUp()
    const prompt = usePrompt()
    await useModels().open({ location: { kind: 'embedded' } })
    engine.held.add('prompt.encode')
    const encoding = prompt.encode('A')
    lose()
    await encoding
    expect(prompt.slots.A).toMatchObject({ dirty: true, encoding: false, error: null })
  })

  it('falls back to plain text for a model without a chat template', async () => {
    const { engine } = setUp()
    const prompt = usePrompt()
    prompt.drafts.A.kind = 'chat'
    engine.handlers['model.open'] = () => ({ ...describeModel(), hasChatTemplate: false })
    await useModels().open({ location: { kind: 'embedded' } })
    await prompt.encodeAll()
    expect(engine.last('prompt.encode').input).toMatchObject({ prompt: { kind: 'text' } })
  })
})
