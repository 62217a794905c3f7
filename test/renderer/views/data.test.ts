import { afterEach, describe, expect, it } from 'vitest'
import type { CallName } from '../../../preload/api'
import { PatchbayError } from '../../../preload/errors'
import type { JobRecord, JobState } from '../../../preload/jobs'
import { useDroppedData } from '../../../renderer/stores/dropped-data'
import { useModels } from '../../../renderer/stores/models'
import DataView from '../../../renderer/views/data/DataView.vue'
import { violations } from '../support/accessible'
import { jobRecord } from '../support/job-record'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import {
  collectionAnswers,
  datasetAnswers,
  syntheticCollection,
  type SyntheticCollection,
} from '../support/synthetic-collections'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'
import { syntheticModel } from '../support/synthetic-model'

const model = syntheticModel()

let next = 0
const record = (state: JobState, change: Partial<JobRecord> = {}): JobRecord =>
  jobRecord(state, { kind: 'extract', title: `Extraction ${++next}`, ...change })
const done = {
  kind: 'extract',
  collection: 'reviews-0123456789',
  rows: 120,
  failures: 1,
  tokens: 1200,
  tokensPerSecond: 5000,
  bytes: 4096,
}

withLayout(900, 260)
let mounted: MountedView | null = null
afterEach(() => {
  mounted?.view.unmount()
  mounted = null
  document.body.innerHTML = ''
})

async function open(collections: SyntheticCollection[] = [], jobs: JobRecord[] = [], more: Answers = {}) {
  mounted = await mountView(
    DataView,
    syntheticEngine(
      {
        ...datasetAnswers(),
        ...collectionAnswers(collections),
        'jobs.list': () => ({ jobs, unreadable: [], warning: null }),
        'jobs.watch': ({ id }) => jobs.find((job) => job.id === id) ?? record('done'),
        'jobs.start': ({ kind }) => {
          const job = record('done', { kind, title: 'Started', result: done })
          jobs.push(job)
          return job
        },
        ...more,
      },
      model,
    ),
  )
  await settle(16)
  return mounted
}
const buttonIn = (root: ParentNode, text: string): HTMLElement => {
  const found = [...root.querySelectorAll<HTMLElement>('button')].find((candidate) =>
    (candidate.textContent ?? '').trim().startsWith(text),
  )
  if (found === undefined) throw new Error(`no button ${text}`)
  return found
}
async function click(text: string): Promise<void> {
  buttonIn(document, text).click()
  await settle(16)
}
const asked = ({ engine }: MountedView, name: CallName): unknown[] =>
  engine.made.filter((call) => call.name === name).map(({ input }) => input)
/** Until a debounced question is asked and answered. */
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('making a collection', () => {
  it('says what a collection is where there is none, and fills the form from an example', async () => {
    const opened = await open()
    expect(opened.view.text()).toContain('No collections yet')
    await click('Example: reviews')
    await wait(900)
    await settle(16)
    expect(opened.view.text()).toContain('200 rows')
    expect(opened.view.text()).toContain('5.00 MiB')
    expect(opened.view.find('.prepared').exists()).toBe(true)
    expect(asked(opened, 'datasets.preview')).toMatchObject([
      { dataset: { prompt: { kind: 'column', column: 'text' }, label: 'label' } },
    ])
    expect(await violations()).toEqual([])
  })

  it('shows nothing of the file before where the next one cannot be read, and all of it when it is taken again', async () => {
    const inspect = datasetAnswers()['datasets.inspect']
    const opened = await open([], [], {
      'datasets.inspect': (input, context) => {
        const { source } = input
        if (inspect === undefined || (source.kind === 'file' && source.path.endsWith('.parquet')))
          throw new PatchbayError('file.malformed', 'bad.parquet: is no Parquet file.')
        return inspect(input, context)
      },
    })
    await click('New collection')
    const take = async (path: string) => {
      opened.shell.chosen = path
      await click('File…')
    }
    await take('/data/moods.jsonl')
    expect(opened.view.text()).toContain('JSON Lines · 3 rows')
    await take('/data/bad.parquet')
    expect(opened.view.get('[role="alert"]').text()).toContain('is no Parquet file')
    expect(opened.view.get('.chosen').text()).toBe('bad.parquet')
    expect(opened.view.text()).not.toContain('What is kept')
    expect(opened.view.text()).toContain('The data set has not been read.')
    await take('/data/moods.jsonl')
    expect(opened.view.find('[role="alert"]').exists()).toBe(false)
    expect(opened.view.text()).toContain('JSON Lines · 3 rows')
    expect(opened.view.text()).toContain('What is kept')
  })

  it('takes the file of a dialog, and starts a job of exactly what was chosen', async () => {
    const opened = await open()
    await click('New collection')
    expect(opened.view.text()).toContain('Choose a data set.')
    opened.shell.chosen = '/data/moods.jsonl'
    await click('File…')
    expect(opened.view.text()).toContain('moods.jsonl')
    expect(opened.view.text()).toContain('JSON Lines · 3 rows · 2.00 KiB')
    await opened.view.get('form.frame').trigger('submit')
    await settle(16)
    expect(asked(opened, 'jobs.start')).toMatchObject([
      {
        kind: 'extract',
        input: {
          name: 'moods',
          model: useModels().current?.source,
          dataset: {
            source: { kind: 'file', path: '/data/moods.jsonl' },
            prompt: { kind: 'column', column: 'text' },
            label: 'mood',
            maxTokens: null,
          },
          outputs: [{ hooks: ['blocks.*.hook_resid_post'], positions: { kind: 'all' }, dtype: 'float16' }],
          mode: 'auto',
          memory: null,
        },
      },
    ])
    expect(() => structuredClone(asked(opened, 'jobs.start'))).not.toThrow()
    expect(opened.view.text()).toContain('Open the collection')
  })

  it('takes pasted rows by their first line, and says which line is wrong', async () => {
    const opened = await open()
    await click('New collection')
    await click('Paste rows')
    const field = opened.view.get('[aria-label="Pasted rows"]')
    await field.setValue('{"text": "glad"}\n{"text": 1')
    await click('Use these rows')
    expect(opened.view.get('[role="alert"]').text()).toContain(
      'Line 2 of what was pasted is not a JSON object.',
    )
    await field.setValue('text\tmood\nglad\thappy\nsorry\tsad')
    await click('Use these rows')
    expect(asked(opened, 'datasets.inspect').at(-1)).toEqual({
      source: {
        kind: 'rows',
        rows: [
          { text: 'glad', mood: 'happy' },
          { text: 'sorry', mood: 'sad' },
        ],
      },
    })
  })

  it('takes what is dropped on the window', async () => {
    const opened = await open()
    useDroppedData().path = '/dropped/rows.csv'
    await settle(16)
    expect(opened.view.text()).toContain('rows.csv')
    expect(asked(opened, 'datasets.inspect')).toEqual([
      { source: { kind: 'file', path: '/dropped/rows.csv' } },
    ])
  })

  it('shows in the place of the columns why a data set can not be read', async () => {
    const opened = await open([], [], {
      'datasets.inspect': () => {
        throw new Error('row 12 has no end')
      },
    })
    useDroppedData().path = '/dropped/rows.csv'
    await settle(16)
    expect(opened.view.get('[role="alert"]').text()).toContain('row 12 has no end')
    expect(buttonIn(document, 'Extract').hasAttribute('disabled')).toBe(true)
  })
})

describe('an extraction under way', () => {
  it('tells rows and tokens a second, is paused, and leads to its collection when it is done', async () => {
    const progress = {
      done: 60,
      total: 120,
      what: 'Row 60 of 120',
      eta: 12,
      numbers: { tokens_per_second: 4321 },
    }
    const job = record('running', { title: 'Long', progress })
    const opened = await open([syntheticCollection(model)], [job], {
      'jobs.watch': (_, { signal }) =>
        new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
        }),
      'jobs.pause': () => ({ ...job, state: 'done', result: done }),
    })
    await click('Long')
    expect(opened.view.text()).toContain('running · Row 60 of 120 · 12 s left')
    expect(opened.view.text()).toContain('Tokens/s')
    expect(opened.view.text()).toContain('4,321')
    await click('Pause')
    expect(asked(opened, 'jobs.pause')).toEqual([{ id: job.id }])
    await click('Open the collection')
    expect(opened.view.find('[role="grid"]').exists()).toBe(true)
    expect(await violations()).toEqual([])
  })

  it('shows why one failed, with a way to resume it', async () => {
    const job = record('failed', {
      title: 'Broken',
      error: { code: 'disk.full', message: 'The disk is full.', next: 'Free some space.' },
    })
    const opened = await open([], [job])
    await click('Broken')
    expect(opened.view.get('[role="alert"]').text()).toContain('Free some space.')
    expect(buttonIn(document, 'Resume')).toBeDefined()
  })
})

describe('the list of collections', () => {
  it('shows pinned ones first, and the rows of the chosen one', async () => {
    const pinned = syntheticCollection(model, 5, {
      id: 'old',
      name: 'Old one',
      pinned: true,
      created: '2020',
    })
    const opened = await open([syntheticCollection(model), pinned])
    const names = opened.view.findAll('.collection .name').map((name) => name.text())
    expect(names).toEqual(['Old one, pinned', 'Reviews'])
    await click('Reviews')
    expect(opened.view.text()).toContain('120 rows')
    expect(opened.view.findAll('[role="grid"] [role="row"]').length).toBeGreaterThan(10)
  })

  it('renames, pins, and asks before it removes one', async () => {
    const opened = await open([syntheticCollection(model)])
    await click('Reviews')
    await opened.view.get('button[aria-label^="Pin"]').trigger('click')
    await settle(16)
    expect(asked(opened, 'collections.label')).toEqual([{ id: 'reviews-0123456789', pinned: true }])
    await openTab('About')
    await opened.view.get('.names input').setValue('Film reviews')
    await opened.view.get('form.names').trigger('submit')
    await settle(16)
    expect(asked(opened, 'collections.label').at(-1)).toEqual({
      id: 'reviews-0123456789',
      name: 'Film reviews',
      note: 'of a film',
    })
    expect(opened.view.text()).toContain('1 row can not be used')
    expect(await violations()).toEqual([])
    await click('Remove…')
    expect(asked(opened, 'collections.remove')).toEqual([])
    document.querySelector<HTMLElement>('.dialog .primary')?.click()
    await settle(16)
    expect(asked(opened, 'collections.remove')).toEqual([{ id: 'reviews-0123456789' }])
    expect(opened.view.text()).toContain('No collections yet')
  })

  it('says why it could not be read, and tries again', async () => {
    let failures = 1
    const opened = await open([], [], {
      'collections.list': () => {
        if (failures-- > 0) throw new Error('broken')
        return [syntheticCollection(model).collection]
      },
    })
    await click('Try again')
    expect(opened.view.text()).toContain('Reviews')
  })

  it('says of one whose job is not done that rows are missing', async () => {
    const opened = await open([syntheticCollection(model, 20, { complete: false })])
    await click('Reviews')
    expect(opened.view.text()).toContain('rows without values are missing, not zero')
  })
})

async function openTab(name: string): Promise<void> {
  const tab = [...document.querySelectorAll<HTMLElement>('[role="tab"]')].find(
    (each) => each.textContent === name,
  )
  if (tab === undefined) throw new Error(`no tab ${name}`)
  tab.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, button: 0 }))
  await settle(16)
}
