import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CallName } from '../../../preload/api'
import { TooltipProvider } from 'reka-ui'
import { h } from 'vue'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useView } from '../../../renderer/stores/view'
import SelectField from '../../../renderer/components/SelectField.vue'
import CollectionDetail from '../../../renderer/views/data/collection/CollectionDetail.vue'
import { violations } from '../support/accessible'
import { withLayout } from '../support/layout'
import { openSynthetic, settle } from '../support/mount-view'
import { collectionAnswers, hostile, syntheticCollection } from '../support/synthetic-collections'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'
import { syntheticModel } from '../support/synthetic-model'

const model = syntheticModel()
withLayout(900, 260)

/** Places that wait to come into sight; without a layout nothing does so by itself. */
let waiting: (() => void)[] = []
class Observer {
  constructor(private readonly said: (entries: { isIntersecting: boolean }[]) => void) {}
  private readonly come = (): void => this.said([{ isIntersecting: true }])
  observe(): void {
    waiting.push(this.come)
  }
  disconnect(): void {
    waiting = waiting.filter((each) => each !== this.come)
  }
}
async function scroll(): Promise<void> {
  for (const come of waiting.splice(0)) come()
  await settle(16)
}

let unmount: (() => void) | null = null
beforeEach(() => {
  waiting = []
  vi.stubGlobal('IntersectionObserver', Observer)
})
afterEach(() => {
  vi.unstubAllGlobals()
  unmount?.()
  unmount = null
  document.body.innerHTML = ''
})

async function open(rows = 120, more: Answers = {}) {
  const made = syntheticCollection(model, rows)
  const engine = syntheticEngine({ ...collectionAnswers([made]), ...more }, model)
  const { shell } = await openSynthetic(engine)
  const view = mount(
    {
      render: () =>
        h(TooltipProvider, null, { default: () => h(CollectionDetail, { collection: made.collection }) }),
    },
    { attachTo: document.body },
  )
  unmount = () => view.unmount()
  await settle(16)
  return { view, engine, shell, made }
}
type Opened = Awaited<ReturnType<typeof open>>
const asked = ({ engine }: Opened, name: CallName): unknown[] =>
  engine.made.filter((call) => call.name === name).map(({ input }) => input)
/** Until a debounced question is asked and answered. */
const wait = async (ms = 150) => {
  await new Promise((resolve) => setTimeout(resolve, ms))
  await settle(16)
}
async function click(text: string): Promise<void> {
  const found = [...document.querySelectorAll<HTMLElement>('button')].find((candidate) =>
    (candidate.textContent ?? '').trim().startsWith(text),
  )
  if (found === undefined) throw new Error(`no button ${text}`)
  found.click()
  await settle(16)
}
async function openTab(name: string): Promise<void> {
  const tab = [...document.querySelectorAll<HTMLElement>('[role="tab"]')].find(
    (each) => each.textContent === name,
  )
  if (tab === undefined) throw new Error(`no tab ${name}`)
  tab.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, button: 0 }))
  await settle(16)
  await wait()
}
/** In the tab that is shown. */
const rowsOf = (label: string): HTMLElement[] => [
  ...document.querySelectorAll<HTMLElement>(
    `.content:not([hidden]) [role="grid"][aria-label="${label}"] [role="rowgroup"] [role="row"]`,
  ),
]
const textOf = (label: string): string =>
  rowsOf(label)
    .map((row) => row.textContent)
    .join('\n')
const table = 'Rows of the collection'

const isLabelled = (field: { props: () => object }, label: string): boolean =>
  Object.entries(field.props()).some(([name, value]) => name === 'label' && value === label)

describe('the table of rows', () => {
  it('keeps only rows in sight in the document, and fetches others as they come into sight', async () => {
    const { rows } = syntheticCollection(model, 100)
    const opened = await open(100, {
      'collections.rows': ({ offset, count }) => ({
        rows: rows.slice(0, count).map((row, i) => ({ ...row, row: offset + i })),
        total: 100_000,
      }),
    })
    const grid = opened.view.get(`[aria-label="${table}"]`)
    expect(grid.attributes('aria-rowcount')).toBe('100001')
    expect(rowsOf(table).length).toBeLessThan(80)
    await grid.trigger('keydown', { key: 'End' })
    await settle(16)
    expect(rowsOf(table).length).toBeLessThan(100)
    expect(asked(opened, 'collections.rows').length).toBeLessThan(6)
  })

  it('shows hostile text as text', async () => {
    const opened = await open()
    expect(textOf(table)).toContain('<img src=x onerror=alert(1)>')
    expect(textOf(table)).toContain('\\u{202E}')
    expect(opened.view.find('img').exists()).toBe(false)
    expect(hostile).toContain('\u202E')
  })

  it('sorts by a column, the other way round, and not at all', async () => {
    const opened = await open()
    for (const expected of [
      { column: 'score', descending: false },
      { column: 'score', descending: true },
      null,
    ]) {
      await click('score')
      expect(asked(opened, 'collections.rows').at(-1)).toMatchObject({ sort: expected })
    }
  })

  it('is filtered in SQL’s language, and says in its place what is wrong with a filter', async () => {
    const opened = await open()
    const field = opened.view.get('form[aria-label="Filter"] input')
    await field.setValue("label = 'happy'")
    await opened.view.get('form[aria-label="Filter"]').trigger('submit')
    await settle(16)
    expect(textOf(table)).not.toContain('sad')
    await field.setValue('WRONG > 2')
    await opened.view.get('form[aria-label="Filter"]').trigger('submit')
    await settle(16)
    expect(opened.view.get('[role="alert"]').text()).toContain('no such column: WRONG')
    await click('All rows')
    expect(textOf(table)).toContain('sad')
  })

  it('shows a chosen row token by token, and opens its prompt in other views', async () => {
    const opened = await open()
    const grid = opened.view.get(`[aria-label="${table}"]`)
    await grid.trigger('keydown', { key: 'ArrowDown' })
    await grid.trigger('keydown', { key: 'Enter' })
    await wait()
    expect(asked(opened, 'collections.tokens')).toEqual([
      { id: 'reviews-0123456789', row: 1, output: 'blocks.3.hook_resid_post' },
    ])
    expect(opened.view.findAll('[aria-label="Tokens by norm"] [role="option"]').length).toBe(12)
    await click('Compare, right')
    expect(useView().current).toBe('compare')
    expect(usePrompt().drafts.B.text).toBe(opened.made.rows[1].text)
    expect(await violations()).toEqual([])
  })

  it('exports the tokens of a row with what they were computed on', async () => {
    const opened = await open()
    await opened.view.get(`[aria-label="${table}"]`).trigger('keydown', { key: 'Enter' })
    await wait()
    await opened.view.get('[aria-label="Export Row 0"]').trigger('click')
    await settle()
    document.querySelector<HTMLElement>('[role="menuitem"]')?.click()
    await settle()
    const [file] = opened.shell.saved
    expect(new TextDecoder().decode(file.bytes)).toContain('position,token,id,norm')
    expect(new TextDecoder().decode(file.beside)).toContain('Reviews (reviews-0123456789)')
  })
})

describe('the maps', () => {
  it('draw rows by their label, and mark in the table what is brushed', async () => {
    const opened = await open()
    await openTab('Maps')
    expect(asked(opened, 'collections.scatter')).toMatchObject([
      { output: 'blocks.3.hook_resid_post', position: -1, method: 'pca' },
    ])
    expect(opened.view.find('[aria-roledescription="scatter plot"]').exists()).toBe(true)
    // The rest is asked for when it comes into sight.
    expect(asked(opened, 'collections.outliers')).toEqual([])
    await scroll()
    await wait()
    expect(asked(opened, 'collections.outliers').length).toBe(1)
    for (const title of ['Norms of rows', 'Cosines between layers', 'Outlier dimensions'])
      expect(opened.view.text()).toContain(title)
    expect(opened.view.text()).toContain('No row is selected')
    await opened.view.get('[aria-roledescription="scatter plot"]').trigger('keydown', { key: 'Home' })
    await wait()
    expect(asked(opened, 'collections.neighbours')).toMatchObject([{ row: 0, metric: 'cosine' }])
    expect(textOf('Nearest rows')).toContain('went to the')
    await click('Brush them')
    await wait()
    expect(rowsOf(table).length).toBe(20)
    expect(rowsOf(table).every((row) => row.getAttribute('aria-selected') === 'true')).toBe(true)
    expect(await violations()).toEqual([])
  })

  it('take what is brushed in the table, by keyboard', async () => {
    const opened = await open()
    const grid = opened.view.get(`[aria-label="${table}"]`)
    await grid.trigger('keydown', { key: ' ' })
    await grid.trigger('keydown', { key: 'ArrowDown' })
    await grid.trigger('keydown', { key: ' ' })
    await settle()
    expect(opened.view.text()).toContain('2 brushed')
    await opened.view.get('.rows .check input').setValue(true)
    await settle(16)
    expect(asked(opened, 'collections.rows').at(-1)).toMatchObject({ filter: '"row" IN (0,1)' })
    await openTab('Maps')
    await scroll()
    await wait()
    expect(asked(opened, 'collections.norms')).toMatchObject([{ filter: '"row" IN (0,1)' }])
  })

  it('say in each panel’s place what the engine says', async () => {
    const opened = await open(20, {
      'collections.scatter': () => {
        throw new Error('a row without values')
      },
    })
    await openTab('Maps')
    expect(opened.view.get('[role="alert"]').text()).toContain('a row without values')
    await scroll()
    expect(opened.view.text()).toContain('Outlier dimensions')
  })
})

describe('the search', () => {
  it('shows contexts as text coloured by token, samples, and its distribution', async () => {
    const opened = await open()
    await openTab('Search')
    expect(opened.view.text()).toContain('Where is it active?')
    await opened.view.get('form[aria-label="Search"]').trigger('submit')
    await wait()
    expect(asked(opened, 'collections.search')).toMatchObject([
      { output: 'blocks.3.hook_resid_post', target: { kind: 'unit', unit: 0 }, count: 20, window: [20, 10] },
    ])
    expect(opened.view.text()).toContain('Samples between the quantiles 0.25 and 0.5')
    const contexts = opened.view.findAll('.context')
    expect(contexts.length).toBe(42)
    expect(contexts[3].text()).toContain('<img src=x onerror=alert(1)>')
    expect(opened.view.find('img').exists()).toBe(false)
    for (const title of ['Distribution', 'By token', 'By label']) expect(opened.view.text()).toContain(title)
    expect(await violations()).toEqual([])
  })

  it('is saved as one HTML page that the engine writes', async () => {
    const opened = await open()
    await openTab('Search')
    await opened.view.get('form[aria-label="Search"]').trigger('submit')
    await wait()
    await opened.view.get('[aria-label^="Export unit of"]').trigger('click')
    await settle()
    document.querySelector<HTMLElement>('[role="menuitem"]')?.click()
    await settle()
    expect(opened.shell.saved.map(({ suggestedName }) => suggestedName)).toEqual(['search.html'])
  })

  it('says which units there are', async () => {
    const opened = await open()
    await openTab('Search')
    const unit = opened.view.findAll('form[aria-label="Search"] .number-field input')[0]
    await unit.setValue('128')
    await unit.trigger('change')
    expect(opened.view.text()).toContain('This output has units 0 to 127.')
  })
})

describe('a query', () => {
  it('shows its result as a table, and what is wrong with it in its place', async () => {
    const opened = await open()
    await openTab('Query')
    await opened.view.get('[aria-label="SQL"]').setValue('SELECT * FROM rows')
    await opened.view.get('[aria-label="SQL"]').trigger('keydown', { key: 'Enter', ctrlKey: true })
    await settle(16)
    expect(textOf('Result of the query')).toContain('Mary')
    expect(opened.view.text()).toContain('120 rows · 2 ms')
    expect(await violations()).toEqual([])
    await opened.view.get('[aria-label="SQL"]').setValue('SELECT WRONG')
    await click('Run')
    expect(opened.view.get('[role="alert"]').text()).toContain('syntax error')
  })
})

describe('the export', () => {
  it('writes the chosen outputs into a folder, and shows and copies the Python program', async () => {
    const opened = await open()
    opened.shell.chosen = '/exports'
    await click('Export…')
    expect(await violations(document.querySelector('.dialog') ?? document.body)).toEqual([])
    document.querySelector<HTMLInputElement>('.outputs input')?.click()
    await settle()
    await click('Choose where and export')
    expect(asked(opened, 'collections.export')).toEqual([
      {
        id: 'reviews-0123456789',
        outputs: [1, 2, 3].map((layer) => `blocks.${layer}.hook_resid_post`),
        filter: '',
        format: 'safetensors',
        dtype: 'float32',
        folder: '/exports/Reviews',
      },
    ])
    expect(document.body.textContent).toContain('import numpy as np')
    await click('Copy the Python program')
    expect(opened.shell.clipboard).toEqual(['import numpy as np\nprint("loaded")'])
  })

  it('asks for the numbers as they are stored where that is chosen and the format has them', async () => {
    const opened = await open()
    opened.shell.chosen = '/exports'
    await click('Export…')
    const choose = async (label: string, value: string) => {
      const field = opened.view.findAllComponents(SelectField).find((each) => isLabelled(each, label))
      if (field === undefined) throw new Error(`no choice ${label}`)
      field.vm.$emit('update:modelValue', value)
      await settle()
    }
    await choose('Numbers', 'stored')
    await click('Choose where and export')
    expect(asked(opened, 'collections.export').at(-1)).toMatchObject({
      format: 'safetensors',
      dtype: 'stored',
    })
    // CSV has no 16-bit numbers: nothing is to be chosen there.
    await choose('Format', 'csv')
    const fields = opened.view.findAllComponents(SelectField)
    expect(fields.some((each) => isLabelled(each, 'Numbers'))).toBe(false)
    await click('Choose where and export')
    expect(asked(opened, 'collections.export').at(-1)).toMatchObject({ format: 'csv', dtype: 'float32' })
  })
})
