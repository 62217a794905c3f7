import { beforeEach, describe, expect, it, vi } from 'vitest'
import { flushPromises } from '@vue/test-utils'
import { builtinCommands, runShellCommand } from '../../renderer/commands/builtin'
import { isTyping, keyOf, useCommands } from '../../renderer/commands/registry'
import { useInspector } from '../../renderer/stores/inspector'
import { useModels } from '../../renderer/stores/models'
import { useNotices } from '../../renderer/stores/notices'
import { useSelection } from '../../renderer/stores/selection'
import { useView } from '../../renderer/stores/view'
import { setUp } from './support/setup'

const press = (
  key: string,
  options: KeyboardEventInit = {},
  target: EventTarget = document.body,
): KeyboardEvent => {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...options })
  Object.defineProperty(event, 'target', { value: target })
  useCommands().onKeydown(event)
  return event
}

describe('how a key is spelled', () => {
  it('takes Ctrl and Meta as one, and Shift only where the letter does not say it', () => {
    const key = (name: string, ctrlKey = false, shiftKey = false, metaKey = false) =>
      keyOf({ key: name, ctrlKey, shiftKey, metaKey })
    expect(key('?', false, true)).toBe('?')
    expect(key('O', true, true)).toBe('Ctrl+Shift+o')
    expect(key('o', false, false, true)).toBe('Ctrl+o')
    expect(key('Enter', true)).toBe('Ctrl+Enter')
  })
})

describe('the command registry', () => {
  beforeEach(() => {
    setUp()
  })

  it('runs the command of a key and takes the key', () => {
    const run = vi.fn()
    useCommands().register([{ id: 'a.b', title: 'A', key: 'x', run }])
    expect(press('x').defaultPrevented).toBe(true)
    expect(run).toHaveBeenCalledOnce()
  })

  it('leaves plain keys to a field one is typing in, but not those made for it', () => {
    const plain = vi.fn()
    const made = vi.fn()
    useCommands().register([
      { id: 'a.plain', title: 'A', key: 'p', run: plain },
      { id: 'a.made', title: 'B', key: 'Ctrl+Enter', whileTyping: true, run: made },
    ])
    const field = document.createElement('textarea')
    expect(isTyping(field)).toBe(true)
    expect(press('p', {}, field).defaultPrevented).toBe(false)
    press('Enter', { ctrlKey: true }, field)
    expect(plain).not.toHaveBeenCalled()
    expect(made).toHaveBeenCalledOnce()
  })

  it('does nothing when a command makes no sense now, when Alt is held, or while a letter is composed', () => {
    const run = vi.fn()
    useCommands().register([
      { id: 'a.never', title: 'A', key: 'x', when: () => false, run },
      { id: 'a.always', title: 'B', key: 'y', run },
    ])
    press('x')
    press('y', { altKey: true })
    press('y', { isComposing: true })
    expect(run).not.toHaveBeenCalled()
    expect(useCommands().run('a.never')).toBe(false)
    expect(useCommands().run('no.such')).toBe(false)
  })

  it('refuses an id twice, and forgets what is taken away', () => {
    const commands = useCommands()
    const end = commands.register([{ id: 'a.b', title: 'A', run: () => undefined }])
    expect(() => commands.register([{ id: 'a.b', title: 'B', run: () => undefined }])).toThrow('twice')
    end()
    expect(commands.commands).toEqual([])
  })

  it('shows what goes wrong in a command', async () => {
    useCommands().register([{ id: 'a.b', title: 'A', run: () => Promise.reject(new Error('broken')) }])
    useCommands().run('a.b')
    await flushPromises()
    expect(useNotices().notices[0]).toMatchObject({ kind: 'error', message: 'broken' })
  })
})

describe('the built-in commands', () => {
  const focus = vi.fn()
  let world: ReturnType<typeof setUp>
  beforeEach(() => {
    world = setUp()
    focus.mockClear()
    useCommands().register(builtinCommands(focus))
  })

  it('change the view by 1 to 8', () => {
    const seen = ['2', '3', '4', '5', '6', '7', '8', '1'].map((key) => {
      press(key)
      return useView().current
    })
    expect(seen).toEqual(['layers', 'compare', 'patch', 'attribution', 'train', 'data', 'steer', 'prompt'])
  })

  it('focus the prompt by /, pin by p, and list the keys by ?', () => {
    press('/')
    expect(focus).toHaveBeenCalledOnce()
    useSelection().reset({ layers: 2, heads: 1, positions: 3 })
    press('p')
    expect(useSelection().pinned).toMatchObject({ position: 2 })
    press('?', { shiftKey: true })
    expect(useView().keysOpen).toBe(true)
  })

  it('step over positions by brackets', () => {
    useSelection().reset({ layers: 2, heads: 1, positions: 3 })
    press('[')
    expect(useSelection().current.position).toBe(1)
    press(']')
    press(']')
    expect(useSelection().current.position).toBe(2)
  })

  it('open a model by dialog', async () => {
    world.shell.chosen = '/models/tiny.gguf'
    press('o', { ctrlKey: true })
    await flushPromises()
    expect(world.engine.last('model.open').input).toMatchObject({
      location: { kind: 'path', path: '/models/tiny.gguf' },
    })
  })

  it('open nothing when the dialog is closed', async () => {
    press('o', { ctrlKey: true })
    await flushPromises()
    expect(world.engine.names()).not.toContain('model.open')
  })

  it('export what the inspector explains, and say so when that is nothing', async () => {
    press('s', { ctrlKey: true })
    expect(useNotices().notices[0].kind).toBe('warning')
    const run = vi.fn()
    useInspector().inspect('prompt', {
      title: 'x',
      rows: [],
      explanation: '',
      exports: [{ id: 'csv', label: 'CSV', run }],
    })
    press('s', { ctrlKey: true })
    await flushPromises()
    expect(run).toHaveBeenCalledOnce()
  })

  it('do what the shell’s menu asks for', async () => {
    await runShellCommand({ id: 'view.show', view: 'steer' })
    expect(useView().current).toBe('steer')
    await runShellCommand({ id: 'theme.set', theme: 'dark' })
    expect(useView().theme).toBe('dark')
    await runShellCommand({ id: 'model.open-path', path: '/models/a' })
    expect(useModels().current?.name).toBe('storyworld')
    await runShellCommand({ id: 'help.about' })
    expect(useView().aboutOpen).toBe(true)
  })
})
