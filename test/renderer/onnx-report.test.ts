import { afterEach, describe, expect, it } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import type { ModelDescription } from '../../preload/model'
import type { OnnxReport } from '../../preload/onnx-report'
import { findingsOf, foundOf, inputsOf, missingOf, whereOf } from '../../renderer/components/onnx/onnx-words'
import { useCommands } from '../../renderer/commands/registry'
import { useModels } from '../../renderer/stores/models'
import { useView } from '../../renderer/stores/view'
import { violations } from './support/accessible'
import { hostile } from './support/hub-answers'
import { button, close, launch, settle, until } from './support/launch'
import { withLayout } from './support/layout'
import { describeModel } from './support/fake-model'
import { onnxReport } from './support/onnx-report'

withLayout()
afterEach(close)

type World = Awaited<ReturnType<typeof launch>>

const dialog = () =>
  document.querySelector<HTMLElement>('[role=dialog].onnx') ?? expect.fail('the report is not shown')
const isShown = () => document.querySelector('[role=dialog].onnx') !== null
const within = (name: string) =>
  [...dialog().querySelectorAll('button')].find(({ textContent }) => textContent.trim() === name) ??
  expect.fail(`there is no button ${name}`)
const pathsOpened = ({ engine }: World) =>
  engine.seen
    .filter(({ call }) => call === 'model.open')
    .map(({ input }) => (input as { location: { path?: string } }).location.path)

/** The window, with an engine that finds this in any graph. */
async function withReport(report: OnnxReport = onnxReport()): Promise<World> {
  return launch(({ engine }) => {
    engine.handlers['model.inspect'] = ({ path }) => (path.includes('plain') ? null : report)
  })
}
async function choose(world: World, path = '/models/gpt2/model.onnx'): Promise<void> {
  world.shell.chosen = path
  useCommands().run('model.open-file')
  await settle()
}
const options = () =>
  [...dialog().querySelectorAll('[role=option]')].map((row) => row.querySelector('.name')?.textContent)
async function search(words: string): Promise<void> {
  const field =
    dialog().querySelector<HTMLInputElement>('input[type=search]') ?? expect.fail('no search field')
  field.value = words
  field.dispatchEvent(new Event('input', { bubbles: true }))
  await settle()
}
async function press(key: string): Promise<void> {
  const list = dialog().querySelector('[role=listbox]') ?? expect.fail('no list')
  list.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
  await settle()
}

describe('an exported graph', () => {
  it('is shown before it is opened, and opened when the person says so', async () => {
    const world = await withReport()
    await choose(world)
    expect(dialog().querySelector('h2')?.textContent).toBe('Open gpt2/model.onnx?')
    expect(dialog().textContent).toContain('A decoder of 2 blocks')
    expect(pathsOpened(world)).toEqual([undefined])
    expect(document.activeElement).toBe(button('Open'))
    button('Open').click()
    await settle()
    expect(isShown()).toBe(false)
    expect(pathsOpened(world)).toEqual([undefined, '/models/gpt2/model.onnx'])
  })

  it('stays closed where the person cancels, and the model before stays open', async () => {
    const world = await withReport()
    for (const end of [
      () => within('Cancel').click(),
      () => button('Close the report').click(),
      () =>
        document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })),
    ]) {
      await choose(world)
      expect(isShown()).toBe(true)
      end()
      await settle()
      expect(isShown()).toBe(false)
    }
    expect(pathsOpened(world)).toEqual([undefined])
    expect(useModels().current?.name).toBe('storyworld')
    expect(useModels().failure).toBeNull()
  })

  it('is not asked about again where another path is chosen meanwhile', async () => {
    const world = await withReport()
    const first = useModels().openPath('/models/a.onnx')
    await settle()
    const second = useModels().openPath('/models/plain')
    await settle()
    expect(await second).toBe(true)
    expect(await first).toBe(false)
    expect(isShown()).toBe(false)
    expect(pathsOpened(world)).toEqual([undefined, '/models/plain'])
  })

  it('leaves an opening alone that is under way, until the person agrees', async () => {
    const world = await withReport()
    world.engine.held.add('model.open')
    const before = useModels().openAt({ kind: 'path', path: '/models/large.gguf' })
    await settle()
    await choose(world)
    within('Cancel').click()
    await settle()
    expect(world.engine.cancelled).toEqual([])
    await world.engine.release('model.open')
    expect(await before).toBe(true)
  })

  it('that was chosen first is not asked about after a later one', async () => {
    const world = await withReport()
    world.engine.held.add('model.inspect')
    const slow = useModels().openPath('/models/slow.onnx')
    await settle()
    expect(await useModels().openPath('/models/tiny.gguf')).toBe(true)
    await world.engine.release('model.inspect')
    expect(await slow).toBe(false)
    expect(isShown()).toBe(false)
  })

  it('that can not be read says why, like any other model', async () => {
    const world = await withReport()
    world.engine.handlers['model.inspect'] = () => {
      throw new PatchbayError('file.outside', 'The tensor "w" lies in "../w", which leaves its folder.')
    }
    await choose(world)
    expect(isShown()).toBe(false)
    expect(useModels().failure?.error.code).toBe('file.outside')
    expect(pathsOpened(world)).toEqual([undefined])
  })

  const openGraph = async (world: World, part: Partial<ModelDescription>) => {
    const location = { kind: 'path', path: '/models/gpt2' } as const
    const source = { ...describeModel().source, location }
    world.engine.handlers['model.open'] = () => ({ ...describeModel(), format: 'onnx', source, ...part })
    await useModels().openAt(location)
  }

  it('can be looked at again when it is open', async () => {
    const world = await withReport()
    await openGraph(world, {})
    useView().modelMenuOpen = true
    await settle()
    button('What was recognised…').click()
    await settle()
    expect(dialog().querySelector('h2')?.textContent).toBe('storyworld')
    expect([...dialog().querySelectorAll('footer button')].map((each) => each.textContent)).toEqual(['Close'])
  })

  it('without recognised blocks says so instead of counting none, and offers the report', async () => {
    const world = await withReport(onnxReport({ decoder: null, hooks: [], whole: 'it has none' }))
    await openGraph(world, { layers: 0, heads: 0, dModel: 0, hookPoints: [] })
    useView().show('layers')
    await settle()
    expect(document.querySelector('.model-button')?.textContent).toContain('no blocks recognised')
    const view = () => document.querySelector('main')?.textContent
    await until(() => expect(view()).toContain('No hook point was recognised'))
    button('What was recognised…').click()
    await settle()
    expect(dialog().textContent).toContain('No residual stream was found')
  })

  it('of a file of weights is not looked for', async () => {
    const world = await withReport()
    await useModels().openPath('/models/tiny.gguf')
    expect(world.engine.names()).not.toContain('model.inspect')
  })
})

describe('the report', () => {
  it('lists every value of the graph, to be found by name, operator or hook point', async () => {
    const world = await withReport()
    await choose(world)
    expect(options()).toHaveLength(4)
    expect(dialog().textContent).toContain('4 values')
    await search('softmax')
    expect(options()).toEqual(['probabilities'])
    expect(dialog().textContent).toContain('1 of 4 values')
    await search('blocks.1 resid_pre')
    expect(options()).toEqual(['add_7'])
    await search('nothing of this name')
    expect(dialog().textContent).toContain('No value has all of these words.')
  })

  it('gives the name by which a value is captured, by keys and by click', async () => {
    const world = await withReport()
    await choose(world)
    await press('End')
    expect(dialog().querySelector('.chosen')?.textContent).toContain('value:logits')
    await press('ArrowUp')
    await press('Enter')
    expect(world.shell.clipboard.at(-1)).toBe('value:add_7')
    await press('Home')
    button('Copy name').click()
    await settle()
    expect(world.shell.clipboard.at(-1)).toBe('value:embedding')
  })

  it('shows of thousands of values only those in sight', async () => {
    const [value] = onnxReport().values
    const values = Array.from({ length: 20_000 }, (_, i) => ({ ...value, name: `value_${i}` }))
    const world = await withReport(onnxReport({ values }))
    await choose(world)
    expect(options().length).toBeGreaterThan(3)
    expect(options().length).toBeLessThan(100)
    expect(dialog().textContent).toContain('20,000 values')
  })

  it('keeps hostile names inert and visible', async () => {
    const [value] = onnxReport().values
    const world = await withReport(
      onnxReport({
        producer: hostile,
        operatorSets: hostile,
        whole: hostile,
        inputs: [{ name: hostile, type: null, shape: hostile, role: 'tokens' }],
        missing: [{ what: hostile, reason: hostile }],
        values: [{ ...value, name: hostile, operator: hostile, shape: hostile }],
      }),
    )
    await choose(world, `/models/${hostile}.onnx`)
    expect(dialog().querySelectorAll('img, script')).toHaveLength(0)
    expect(dialog().textContent).not.toContain('\u202E')
    expect(dialog().textContent.split('\\u{202E}').length).toBeGreaterThan(8)
  })

  it('has no accessibility fault that axe can find', async () => {
    const world = await withReport()
    await choose(world)
    expect(await violations(dialog())).toEqual([])
  })
})

describe('in words', () => {
  const texts = (part: Partial<OnnxReport>) => findingsOf(onnxReport(part)).map(({ text }) => text)

  it('a graph says how it runs, how it generates and where its context comes from', () => {
    expect(texts({})).toEqual([
      'A decoder of 2 blocks, found by the structure of its graph.',
      'Cut at the residual stream and run block by block: lens, patching and steering work.',
      'Generates on kept keys and values.',
      '64 positions of context, the length of its own table.',
    ])
    expect(texts({ whole: 'its residual stream is not in float32' })[1]).toMatch(
      /^Runs in one piece, because its/,
    )
    expect(texts({ decoder: null })[0]).toMatch(/^No residual stream was found/)
    expect(texts({ generation: 'recompute' })[2]).toMatch(/computes the whole text again/)
    expect(texts({ contextSource: 'unstated' })[3]).toMatch(/^Nothing says how much context/)
  })

  it('keys and values of all layers are one line each', () => {
    expect(inputsOf(onnxReport().inputs).map(({ names, role }) => [role, names])).toEqual([
      ['tokens', 'input_ids'],
      ['past keys (2)', 'past.0.key … past.1.key'],
    ])
  })

  it('the same hook point of several blocks is one line, which says of which', () => {
    const missing = [0, 1, 2, 7].map((i) => ({
      what: `blocks.${i}.attn.hook_z`,
      reason: 'its layout is not known',
    }))
    const [group, ...others] = missingOf(onnxReport({ missing }))
    expect([group.name, others]).toEqual(['blocks.{i}.attn.hook_z', []])
    expect(whereOf(group, 8)).toBe('in blocks 0–2, 7')
    expect(whereOf({ ...group, layers: [5] }, 8)).toBe('in block 5')
    const found = foundOf(onnxReport())
    expect(found.map((each) => [each.name, whereOf(each, 2)])).toEqual([
      ['hook_embed', ''],
      ['blocks.{i}.hook_resid_pre', 'in all blocks'],
      ['blocks.{i}.attn.hook_pattern', 'in block 0'],
    ])
  })
})
