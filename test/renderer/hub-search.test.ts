import { afterEach, describe, expect, it } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import { useCommands } from '../../renderer/commands/registry'
import { hostile, planOf } from './support/hub-answers'
import { dialog, plan, open, type, submit, search, press, calls } from './support/hub-dialog'
import { button, close, settle, until } from './support/launch'

afterEach(close)

describe('the search', () => {
  it('sends nothing when the dialog opens or while one types, only when one asks', async () => {
    const world = await open()
    await type('input[type=search]', 'tiny')
    expect(world.engine.names().filter((name) => name.startsWith('hub.'))).toEqual([])
    await submit('form[role=search]')
    expect(world.engine.last('hub.search').input).toEqual({
      query: 'tiny',
      sort: 'downloads',
      format: null,
      limit: 20,
    })
  })

  it('says of each model its licence, downloads and formats, and whether it can be opened or why not', async () => {
    await open()
    await search('tiny')
    const rows = [...dialog().querySelectorAll('li [data-result]')].map((row) => row.textContent)
    expect(rows[0]).toMatch(/owner\/tiny-model.*1\.23 M downloads · apache-2\.0 · safetensors.*can open it/)
    expect(rows[1]).toContain(
      'Not known yet whether Patchbay can open it: The architecture stands in the GGUF',
    )
    expect(rows[2]).toContain('gated')
    expect(rows[3]).toContain('can not open it')
  })

  it('shows hostile names, licences and architectures as text', async () => {
    await open()
    await search('x')
    await press('other/mamba')
    expect(dialog().querySelectorAll('img, script')).toHaveLength(0)
    expect(dialog().textContent).toContain('<img src=x onerror=alert(1)>\\u{202E}gnp')
    expect(dialog().textContent).not.toContain(hostile)
  })

  it('looks a model up by its full name without searching', async () => {
    const world = await open()
    await type('input[type=search]', 'private/model')
    await press('Look up')
    expect(calls(world, 'hub.search')).toBe(0)
    expect(world.engine.last('hub.plan').input).toEqual({
      repoId: 'private/model',
      revision: 'main',
      weights: null,
    })
  })

  it('offers what is on this machine when Patchbay is offline', async () => {
    await open(({ engine }) => {
      engine.handlers['hub.search'] = () => {
        throw new PatchbayError('hub.offline', 'Patchbay is offline, so nothing can be searched.', {
          next: 'Turn offline mode off.',
        })
      }
    })
    await search('tiny')
    expect(dialog().textContent).toContain('Patchbay is offline')
    expect(dialog().querySelector('[role=alert]')).toBeNull()
    await press('Models on this machine')
    expect(dialog().textContent).toContain('No models here yet')
  })

  it('says what went wrong and what to do, and tries again', async () => {
    const world = await open(({ engine }) => {
      engine.handlers['hub.search'] = () => {
        throw new PatchbayError('hub.unreachable', 'The connection to the hub failed.', {
          next: 'Check the connection and try again.',
        })
      }
    })
    await search('tiny')
    expect(dialog().querySelector('[role=alert]')?.textContent).toContain('Check the connection')
    world.engine.handlers['hub.search'] = () => []
    await press('Try again')
    expect(dialog().textContent).toContain('No model of this name')
  })

  it('keeps its results while the dialog is closed, and asks for nothing again', async () => {
    const world = await open()
    await search('tiny')
    await press('Close')
    useCommands().run('model.download')
    await settle()
    expect(dialog().querySelectorAll('li [data-result]')).toHaveLength(4)
    expect(calls(world, 'hub.search')).toBe(1)
  })
})

describe('the plan', () => {
  it('says files, sizes, licence and what is here before anything is downloaded', async () => {
    const world = await open(({ engine }) => {
      engine.handlers['hub.plan'] = (request) => planOf(request, 40)
    })
    await search('tiny')
    await press('owner/tiny-model')
    for (const words of ['apache-2.0', 'config.json', 'model.safetensors', '100 MiB', 'here', 'to download'])
      expect(plan()).toContain(words)
    expect(plan()).toContain('60.0 MiB of 100 MiB will be downloaded')
    expect(calls(world, 'hub.download')).toBe(0)
  })

  it('warns of gated models, and lets none begin that could not be opened', async () => {
    await open()
    await search('tiny')
    await press('closed/gated')
    expect(plan()).toContain('agree to terms')
    expect(button('Download and open').disabled).toBe(false)
    await press('other/mamba')
    expect(button('Download and open').disabled).toBe(true)
    expect(plan()).toContain('Patchbay could not open it')
  })

  it('is made anew for another revision, and for none that is no revision', async () => {
    const world = await open()
    await search('tiny')
    await press('owner/tiny-model')
    await type('#hub-revision', '../../etc')
    await submit('form.revision')
    expect(plan()).toContain('is not a branch, tag or commit')
    expect(calls(world, 'hub.plan')).toBe(1)
    await type('#hub-revision', 'v1.0')
    await submit('form.revision')
    expect(world.engine.last('hub.plan').input).toMatchObject({ revision: 'v1.0' })
  })

  it('opens at once what is here already', async () => {
    const world = await open(({ engine }) => {
      engine.handlers['hub.plan'] = (request) => planOf(request, 100)
    })
    await search('tiny')
    await press('owner/tiny-model')
    expect(plan()).toContain('Everything is on this machine already')
    const [last] = [...dialog().querySelectorAll<HTMLButtonElement>('.foot button')]
    last.click()
    await until(() =>
      expect(world.engine.last('model.open').input).toMatchObject({ location: { path: '/cache/tiny' } }),
    )
  })
})
