import { afterEach, describe, expect, it } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import { useNotices } from '../../renderer/stores/notices'
import { useView } from '../../renderer/stores/view'
import { violations } from './support/accessible'
import { cachedModel, hostile, planOf } from './support/hub-answers'
import { dialog, isOpen, strip, open, search, press, tab, calls, type World } from './support/hub-dialog'
import { button, close, settle, until } from './support/launch'

afterEach(close)

describe('a download', () => {
  const begin = async (prepare: (world: World) => void = () => undefined) => {
    const world = await open((made) => {
      made.engine.held.add('hub.download')
      prepare(made)
    })
    await search('tiny')
    await press('owner/tiny-model')
    await press('Download and open')
    return world
  }
  const progress = (world: World, done: number) =>
    world.engine.say({
      type: 'progress',
      id: world.engine.last('hub.download').id,
      value: {
        phase: 'downloading',
        file: 'model.safetensors',
        done: done * 2 ** 20,
        total: 100 * 2 ** 20,
        bytesPerSecond: 4 * 2 ** 20,
        etaSeconds: 95,
      },
    })

  it('fetches exactly the plan that was shown, says how far, how fast and how long, then opens the model', async () => {
    const world = await begin()
    expect(world.engine.last('hub.download').input).toEqual(planOf({ repoId: 'owner/tiny-model' }))
    progress(world, 25)
    await settle()
    expect(strip()).toContain('25.0 MiB of 100 MiB · 4.00 MiB/s · 1 min 35 s left')
    expect(strip()).toContain('model.safetensors')
    expect(
      dialog().querySelector('[role=progressbar][aria-label^="Download of"]')?.getAttribute('aria-valuenow'),
    ).toBe('25')
    expect(document.querySelector('footer')?.textContent).toContain('Downloading tiny-model')
    await world.engine.release('hub.download')
    await until(() => expect(isOpen()).toBe(false))
    expect(world.engine.last('model.open').input).toMatchObject({
      location: { kind: 'path', path: '/cache/tiny' },
    })
  })

  it('can be stopped and goes on with the same plan', async () => {
    const world = await begin()
    progress(world, 25)
    await settle()
    await press('Stop')
    expect(world.engine.cancelled).toHaveLength(1)
    expect(strip()).toContain('25.0 MiB of 100 MiB are kept')
    expect(useNotices().notices).toEqual([])
    await press('Go on')
    expect(calls(world, 'hub.download')).toBe(2)
    expect(world.engine.last('hub.download').input).toEqual(planOf({ repoId: 'owner/tiny-model' }))
  })

  it('that breaks off says why and what to do, and goes on from there', async () => {
    const world = await begin(({ engine }) => {
      engine.held.clear()
      engine.handlers['hub.download'] = () => {
        throw new PatchbayError('disk.full', 'The disk is full.', { next: 'Free some space and try again.' })
      }
    })
    expect(strip()).toContain('The disk is full.')
    expect(strip()).toContain('Free some space and try again.')
    world.engine.handlers['hub.download'] = () => ({ folder: '/cache/tiny', path: '/cache/tiny' })
    await press('Go on')
    await until(() => expect(isOpen()).toBe(false))
  })

  it('goes on by itself when the engine comes back, but not for ever', async () => {
    const world = await begin()
    world.lose()
    await settle()
    world.connect()
    await settle()
    expect(calls(world, 'hub.download')).toBe(2)
    world.lose()
    await settle()
    world.connect()
    await settle()
    expect(calls(world, 'hub.download')).toBe(2)
    expect(strip()).toContain('Not finished')
  })

  it('goes on while the dialog is closed, and offers to open the model when it is here', async () => {
    const world = await begin()
    useView().hubOpen = false
    await settle()
    await world.engine.release('hub.download')
    await settle()
    const opened = () => calls(world, 'model.open')
    expect(opened()).toBe(1)
    expect(useNotices().notices.map(({ message }) => message)).toEqual([
      'owner/tiny-model is on this machine now.',
    ])
    await press('Open it')
    expect(opened()).toBe(2)
  })
})

describe('the models on this machine', () => {
  it('are listed with their size and state, opened by click, and unreadable folders hide none of them', async () => {
    const world = await open(({ engine }) => {
      engine.handlers['hub.cached'] = () => ({
        models: [
          cachedModel('owner/tiny-model'),
          cachedModel('other/mamba', { support: { canOpen: 'no', reason: 'mamba is not known.' } }),
          cachedModel('owner/tiny-GGUF', { format: 'gguf', path: '/cache/owner/tiny-GGUF/tiny-Q8_0.gguf' }),
        ],
        broken: [
          {
            folder: `/cache/${hostile}`,
            error: {
              code: 'file.unreadable',
              message: 'It can not be read (EACCES).',
              next: 'Check its permissions.',
            },
          },
        ],
      })
    })
    await tab('On this machine')
    expect(dialog().textContent).toContain('271 MiB')
    expect(dialog().textContent).toContain('tiny-Q8_0.gguf')
    expect(dialog().textContent).toContain('Check its permissions.')
    expect(dialog().querySelectorAll('img')).toHaveLength(0)
    expect(button('Open other/mamba').disabled).toBe(true)
    await press('Open owner/tiny-GGUF')
    expect(isOpen()).toBe(false)
    expect(world.engine.last('model.open').input).toMatchObject({
      location: { path: '/cache/owner/tiny-GGUF/tiny-Q8_0.gguf' },
    })
  })
})

describe('the dialog', () => {
  it('has no accessibility fault that axe can find, with results, a plan and a download in it', async () => {
    await open(({ engine }) => engine.held.add('hub.download'))
    await search('tiny')
    await press('owner/tiny-GGUF')
    await press('Download and open')
    expect(await violations(dialog())).toEqual([])
    await tab('On this machine')
    expect(await violations(dialog())).toEqual([])
  })
})
