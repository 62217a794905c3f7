import axe from 'axe-core'
import { afterEach, describe, expect, it } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import { useModels } from '../../renderer/stores/models'
import { useNotices } from '../../renderer/stores/notices'
import { usePrompt } from '../../renderer/stores/prompt'
import { useView } from '../../renderer/stores/view'
import { button, close, launch, settle, until } from './support/launch'

afterEach(close)

describe('the window after launch', () => {
  it('opens the embedded model and analyses its prompt without being asked', async () => {
    const { engine, shell } = await launch()
    await until(() => expect(shell.lenses).toHaveLength(1))
    expect(engine.last('model.open').input).toMatchObject({ location: { kind: 'embedded' } })
    expect(engine.seen.find(({ call }) => call === 'prompt.encode')?.input).toMatchObject({
      prompt: { text: 'When Mary and John went to the store, John gave a drink to' },
    })
    expect(shell.lenses[0].split('\n')[0]).toBe('Logit lens · storyworld · float32 · cpu')
    expect(document.body.textContent).toContain('Logit lens')
  })

  it('opens the model named at the start instead', async () => {
    const { engine } = await launch(
      ({ shell }) => (shell.info = { ...shell.info, modelPath: '/models/a.gguf' }),
    )
    await settle()
    expect(engine.names().filter((name) => name === 'model.open')).toHaveLength(1)
    expect(engine.last('model.open').input).toMatchObject({
      location: { kind: 'path', path: '/models/a.gguf' },
    })
  })

  it('falls back to the embedded model when the one named at the start is broken, and says why', async () => {
    await launch(({ shell, engine }) => {
      shell.info = { ...shell.info, modelPath: '/models/broken.gguf' }
      const healthy = engine.handlers['model.open']
      engine.handlers['model.open'] = (source) => {
        if (source.location.kind === 'path') throw new PatchbayError('file.malformed', 'The magic is wrong.')
        return healthy?.(source) ?? expect.fail('no handler')
      }
    })
    await until(() => expect(useModels().current?.name).toBe('storyworld'))
    expect(document.querySelector('[role=alert]')?.textContent).toContain('The magic is wrong.')
  })

  it('says that no model is open when even the embedded one fails, and once why', async () => {
    const { shell } = await launch(({ engine }) => {
      engine.handlers['model.open'] = () => {
        throw new PatchbayError('memory.exhausted', 'There is not enough memory.')
      }
    })
    expect(document.querySelector('main')?.textContent).toContain('No model is open')
    expect(document.querySelector('main')?.textContent).toContain('storyworld was not opened.')
    const alerts = [...document.querySelectorAll('[role=alert]')].map(({ textContent }) => textContent)
    expect(alerts).toEqual([expect.stringContaining('There is not enough memory.')])
    await until(() => expect(shell.settled).toEqual(['prompt light']))
  })

  it('shows how far the opening of the first model is', async () => {
    const { engine } = await launch(({ engine }) => engine.held.add('model.open'))
    const { id } = engine.last('model.open')
    engine.say({
      type: 'progress',
      id,
      value: { stage: 'compiling', fraction: 0.25, detail: 'block 1 of 4' },
    })
    await settle()
    const main = document.querySelector('main')
    expect(main?.textContent).toContain('compiling block 1 of 4')
    expect(main?.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')).toBe('25')
  })

  it('tells the shell once everything stands still', async () => {
    const { shell } = await launch()
    await until(() => expect(shell.settled).toContain('prompt light'))
    shell.command({ id: 'theme.set', theme: 'dark' })
    await until(() => expect(shell.settled).toContain('prompt dark'))
    expect(document.documentElement.dataset['theme']).toBe('dark')
  })

  it('does not call itself settled while the lens is being computed', async () => {
    const { shell, engine } = await launch(({ engine }) => engine.held.add('lens.map'))
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(shell.settled).toEqual([])
    await engine.release('lens.map')
    await until(() => expect(shell.settled).toEqual(['prompt light']))
  })

  it('has no accessibility fault that axe can find, in either theme', async () => {
    const { shell } = await launch()
    await until(() => expect(shell.settled).not.toEqual([]))
    for (const theme of ['light', 'dark'] as const) {
      useView().themeChoice = theme
      await settle()
      // Contrast needs real rendering; theme.test.ts computes it from the colours.
      const { violations } = await axe.run(document.body, { rules: { 'color-contrast': { enabled: false } } })
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual(
        [],
      )
    }
  })

  it('always says model, precision, provider and memory', async () => {
    const { shell } = await launch()
    await until(() => expect(shell.settled).not.toEqual([]))
    const status = document.querySelector('footer')?.textContent ?? ''
    for (const word of ['storyworld', 'float32', 'CPU', '312 MiB']) expect(status).toContain(word)
  })
})

describe('an engine that goes away', () => {
  it('is announced, and views go on by themselves when it is back', async () => {
    const { engine, lose, connect } = await launch(({ engine }) => engine.held.add('lens.map'))
    lose('restarting')
    await settle()
    expect(document.body.textContent).toContain('The engine stopped and is being restarted with your model')
    engine.held.clear()
    connect()
    await settle()
    expect(document.body.textContent).not.toContain('being restarted')
    expect(engine.names().filter((name) => name === 'lens.map')).toHaveLength(2)
    expect(useNotices().notices).toEqual([])
  })

  it('can be started by hand when it was stopped for good', async () => {
    const { shell, lose } = await launch()
    lose('stopped')
    await settle()
    expect(document.body.textContent).toContain('It ended with exit code 11.')
    button('Start the engine').click()
    expect(shell.restarts).toBe(1)
  })

  it('keeps the pictures that are there', async () => {
    const { shell, lose } = await launch()
    await until(() => expect(shell.settled).not.toEqual([]))
    lose('stopped')
    await settle()
    expect(document.querySelector('[aria-label="Attention heads"]')).not.toBeNull()
  })
})

describe('a message', () => {
  it('can be copied for a report and dismissed', async () => {
    const { shell } = await launch()
    useNotices().report(new PatchbayError('disk.full', 'The disk is full.', { next: 'Free some space.' }))
    await settle()
    button('Copy this message').click()
    await settle()
    expect(shell.clipboard).toEqual(['disk.full: The disk is full.\nFree some space.'])
    button('Dismiss').click()
    await settle()
    expect(document.body.textContent).not.toContain('The disk is full.')
  })
})

describe('hostile text', () => {
  const nasty =
    '<img src=x onerror=window.hacked=1> </script><script>window.hacked=1</script> \u202Eevil \u0000'

  it('is shown as text everywhere, with what is invisible written out', async () => {
    const { shell } = await launch()
    usePrompt().drafts.A.text = nasty
    await usePrompt().encode('A')
    await until(() =>
      expect(document.querySelectorAll('[role=option][data-position]')[0].textContent).toContain('<img'),
    )
    await until(() => expect(shell.settled.length).toBeGreaterThan(0))
    expect(document.querySelectorAll('img, main script, header script')).toHaveLength(0)
    expect('hacked' in window).toBe(false)
    const strip = document.querySelector('[aria-label="Prompt: tokens"]')?.textContent ?? ''
    expect(strip).toContain('\\u{202E}')
    expect(strip).toContain('\\u{0}')
    expect(strip).not.toContain('\u202E')
  })

  it('in an error message stays text', async () => {
    await launch()
    useNotices().report(new PatchbayError('file.malformed', '<img src=x onerror=alert(1)> is broken.'))
    await settle()
    expect(document.querySelector('[role=alert]')?.textContent).toContain('<img src=x')
    expect(document.querySelectorAll('img')).toHaveLength(0)
  })
})
