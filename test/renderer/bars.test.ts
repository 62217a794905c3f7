import { afterEach, describe, expect, it } from 'vitest'
import { nextTick } from 'vue'
import { useModels } from '../../renderer/stores/models'
import { pause, usePrompt } from '../../renderer/stores/prompt'
import { useSelection } from '../../renderer/stores/selection'
import { useDroppedData } from '../../renderer/stores/dropped-data'
import { useView } from '../../renderer/stores/view'
import { button, close, launch, settle, until } from './support/launch'

afterEach(close)

describe('the prompt bar', () => {
  it('shows the ids the model gets, their origin, and the notes', async () => {
    await launch()
    await until(() => expect(document.querySelectorAll('[role=option][data-position]').length).toBe(13))
    const first = document.querySelector('[data-position="0"]')
    expect(first?.textContent).toContain('When')
    expect(first?.getAttribute('title')).toContain('from the text')
    expect(document.body.textContent).toContain(
      'No BOS token: tokenizer_config.json says add_bos_token: false.',
    )
    expect(document.body.textContent).toContain('13 / 512')
  })

  it('selects a position by click and by arrow keys', async () => {
    await launch()
    await until(() => expect(document.querySelector('[data-position="4"]')).not.toBeNull())
    document.querySelector<HTMLElement>('[data-position="4"]')?.click()
    expect(useSelection().current.position).toBe(4)
    await nextTick()
    const strip = document.querySelector('[aria-label="Prompt: tokens"]')
    strip?.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true, cancelable: true }))
    expect(useSelection().current.position).toBe(3)
  })

  it('runs what is typed after a pause, and at once on Ctrl+Enter', async () => {
    const { engine } = await launch()
    const area = document.querySelector<HTMLTextAreaElement>('textarea') ?? expect.fail('no text area')
    area.value = 'The sun'
    area.dispatchEvent(new Event('input'))
    area.dispatchEvent(
      new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true }),
    )
    await settle()
    expect(engine.last('prompt.encode').input).toMatchObject({ prompt: { text: 'The sun' } })
    area.value = 'The sun was'
    area.dispatchEvent(new Event('input'))
    await new Promise((resolve) => setTimeout(resolve, pause + 50))
    await settle()
    expect(engine.last('lens.map').input).toMatchObject({ tokens: { length: 3 } })
  })

  it('writes chats through the model’s template, with the turns and roles one chose', async () => {
    const { engine } = await launch()
    const chat = [...document.querySelectorAll<HTMLElement>('[role=radio]')].find(
      (e) => e.textContent.trim() === 'Chat',
    )
    chat?.click()
    await settle()
    usePrompt().drafts.A.messages[0].content = 'Hello'
    button('Turn').click()
    await settle()
    expect(document.querySelectorAll('.turn')).toHaveLength(2)
    await usePrompt().encode('A')
    expect(engine.last('prompt.encode').input).toMatchObject({
      prompt: {
        kind: 'chat',
        messages: [
          { role: 'user', content: 'Hello' },
          { role: 'assistant', content: '' },
        ],
        addGenerationPrompt: true,
      },
    })
    expect(document.querySelector('[data-position="0"]')?.textContent).toContain('BOS')
  })

  it('shows an empty prompt’s error where it is written', async () => {
    await launch()
    usePrompt().drafts.A.text = ''
    await usePrompt().encode('A')
    await settle()
    expect(document.querySelector('header [role=alert]')?.textContent).toContain('The prompt is empty.')
  })

  it('shows two prompts in the comparison', async () => {
    await launch()
    useView().show('compare')
    await settle()
    expect(document.querySelectorAll('header textarea')).toHaveLength(2)
  })
})

describe('opening a model', () => {
  it('shows progress and can be cancelled', async () => {
    const { engine, shell } = await launch()
    await until(() => expect(shell.settled).not.toEqual([]))
    engine.held.add('model.open')
    const opening = useModels().openPath('/models/large.gguf')
    await settle()
    engine.say({
      type: 'progress',
      id: engine.last('model.open').id,
      value: { stage: 'compiling', fraction: 0.5, detail: 'block 3' },
    })
    await settle()
    expect(document.querySelector('footer')?.textContent).toContain('Opening large.gguf: compiling')
    expect(document.querySelector('footer [role=progressbar]')?.getAttribute('aria-valuenow')).toBe('50')
    button('Cancel: Opening large.gguf').click()
    expect(await opening).toBe(false)
    expect(useModels().current?.name).toBe('storyworld')
  })

  it('lists the library, with what is missing marked and not to be opened', async () => {
    const { shell } = await launch()
    await until(() => expect(shell.settled).not.toEqual([]))
    useView().modelMenuOpen = true
    await settle()
    const missing = [...document.querySelectorAll('.entry')].find((entry) =>
      entry.textContent.includes('SmolLM2'),
    )
    expect(missing?.textContent).toContain('missing')
    expect(missing?.querySelector<HTMLButtonElement>('.open')?.disabled).toBe(true)
    expect(document.body.textContent).toContain('No Vulkan adapter was found.')
  })

  /** A drag of one file over the window. */
  const dragOf = (name: string) => (type: string) => {
    const event = new Event(type, { bubbles: true, cancelable: true })
    Object.defineProperty(event, 'dataTransfer', {
      value: { types: ['Files'], files: [new File(['x'], name)], dropEffect: 'none' },
    })
    window.dispatchEvent(event)
    return event
  }

  it('takes a file dropped anywhere on the window', async () => {
    const { engine } = await launch()
    const drag = dragOf('tiny.gguf')
    drag('dragenter')
    await nextTick()
    expect(document.body.textContent).toContain('Drop to open the model')
    expect(drag('drop').defaultPrevented).toBe(true)
    await settle()
    expect(document.body.textContent).not.toContain('Drop to open the model')
    expect(engine.last('model.open').input).toMatchObject({ location: { path: '/dropped/tiny.gguf' } })
  })

  it('hands a data set dropped anywhere to the Data view', async () => {
    const { engine } = await launch()
    const opened = engine.names().filter((name) => name === 'model.open').length
    const drag = dragOf('moods.csv')
    drag('dragenter')
    drag('drop')
    expect([useDroppedData().path, useView().current]).toEqual(['/dropped/moods.csv', 'data'])
    await settle()
    expect(engine.names().filter((name) => name === 'model.open')).toHaveLength(opened)
  })
})

describe('the inspector', () => {
  it('explains the selected cell and copies the request behind it, as JSON and as a command', async () => {
    const { shell } = await launch()
    await until(() => expect(document.querySelector('aside dl')).not.toBeNull())
    const words = document.querySelector('aside')?.textContent ?? ''
    expect(words).toContain('blocks.3.hook_resid_post')
    expect(words).toContain('[batch, pos, d_model] = [1, 13, 128]')
    expect(words).toContain('nostalgebraist 2020')
    button('Copy as JSON').click()
    button('Copy command').click()
    await settle()
    expect(JSON.parse(shell.clipboard[0])).toMatchObject({
      request: { version: 1 },
      provenance: { provider: 'cpu' },
    })
    expect(shell.clipboard[1]).toMatch(
      /^npx patchbay run --model abababababababab --provider cpu --request '\{"captures":/,
    )
  })
})
