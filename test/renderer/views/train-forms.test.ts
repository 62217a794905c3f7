import { afterEach, describe, expect, it } from 'vitest'
import type { CallName } from '../../../preload/api'
import type { JobRecord } from '../../../preload/jobs'
import { PatchbayError } from '../../../preload/errors'
import { noTokenizer } from '../../../preload/model'
import { dictionaryInput, probeInput } from '../../../preload/training'
import { useModels } from '../../../renderer/stores/models'
import { useView } from '../../../renderer/stores/view'
import { useDroppedData } from '../../../renderer/stores/dropped-data'
import TrainView from '../../../renderer/views/train/TrainView.vue'
import { violations } from '../support/accessible'
import { jobAnswers, jobRecord } from '../support/job-record'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { datasetAnswers } from '../support/synthetic-collections'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'
import { syntheticModel } from '../support/synthetic-model'

withLayout()
let mounted: MountedView | null = null
afterEach(() => {
  mounted?.view.unmount()
  mounted = null
  document.body.innerHTML = ''
})

const model = syntheticModel()
async function open(
  jobs: JobRecord[] = [],
  more: Answers = {},
  of = { ...model, hasChatTemplate: true },
): Promise<MountedView> {
  const engine = syntheticEngine({ ...datasetAnswers(), ...jobAnswers(jobs), ...more }, of)
  mounted = await mountView(TrainView, engine)
  await settle(16)
  return mounted
}
async function click(text: string): Promise<void> {
  const found = [...document.querySelectorAll<HTMLElement>('button, [role=radio]')].find((each) =>
    (each.textContent ?? '').trim().startsWith(text),
  )
  if (found === undefined) throw new Error(`no button ${text}`)
  found.click()
  await settle(16)
}
/** The field that a person would call so. */
function field({ view }: MountedView, label: string) {
  const found = view.findAll('label').find((each) => each.text() === label)
  return found?.find('input, textarea') ?? view.get(`[aria-label="${label}"]`)
}
async function pick(label: string, option: string): Promise<void> {
  const trigger = document.querySelector<HTMLElement>(`[role=combobox][aria-label="${label}"]`)
  trigger?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
  await settle(16)
  const found = [...document.querySelectorAll<HTMLElement>('[role=option]')].find((each) =>
    (each.textContent ?? '').trim().startsWith(option),
  )
  if (found === undefined) throw new Error(`no choice ${option} of ${label}`)
  found.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
  await settle(16)
}
const asked = ({ engine }: MountedView, name: CallName): unknown[] =>
  engine.made.filter((call) => call.name === name).map(({ input }) => input)
async function submitted(opened: MountedView): Promise<unknown> {
  await opened.view.get('form').trigger('submit')
  await settle(16)
  return asked(opened, 'jobs.start').at(-1)
}

describe('a probe from a data set', () => {
  it('takes the file of a dialog, its columns, and the label that has the property', async () => {
    const opened = await open()
    await click('A data set')
    expect(opened.view.text()).toContain('Choose a data set.')
    opened.shell.chosen = '/data/moods.jsonl'
    await click('File…')
    expect(opened.view.text()).toContain('JSON Lines · 3 rows')
    await pick('With the property', 'happy')
    expect(await violations()).toEqual([])
    const started = (await submitted(opened)) as { kind: string; input: unknown }
    expect(started.kind).toBe('probe')
    expect(probeInput.parse(started.input)).toMatchObject({
      examples: [],
      dataset: {
        rows: {
          source: { kind: 'file', path: '/data/moods.jsonl' },
          prompt: { kind: 'column', column: 'text' },
          label: 'mood',
        },
        positive: 'happy',
      },
    })
  })

  it('takes a path that is typed, a template, and a label that was not seen', async () => {
    const opened = await open()
    await click('A data set')
    await field(opened, 'Path of the data set').setValue(' /data/moods.jsonl ')
    await field(opened, 'Path of the data set').trigger('keydown', { key: 'Enter' })
    await settle(16)
    await pick('A prompt is', 'A template')
    await opened.view.get('textarea').setValue('He said: {{text}}')
    await pick('With the property', 'another…')
    expect(opened.view.text()).toContain('Say which label has the property.')
    await field(opened, 'Label with the property').setValue('furious')
    expect(await submitted(opened)).toMatchObject({
      input: {
        dataset: {
          rows: {
            source: { path: '/data/moods.jsonl' },
            prompt: { kind: 'template', template: 'He said: {{text}}' },
          },
          positive: 'furious',
        },
      },
    })
  })

  it('is refused where the labels are none or more than two', async () => {
    const columns = (distinct: number | null) => ({
      name: 'mood',
      type: 'text' as const,
      empty: 0,
      distinct,
      examples: ['sad'],
    })
    const opened = await open([], {
      'datasets.inspect': () => ({
        format: 'csv',
        files: [],
        columns: [columns(3)],
        rows: 9,
        head: [{ mood: 'sad' }],
        failures: [],
        suggested: { prompt: { kind: 'column', column: 'mood' }, label: 'mood' },
      }),
    })
    await click('A data set')
    opened.shell.chosen = '/data/moods.csv'
    await click('File…')
    expect(opened.view.text()).toContain('The column “mood” has 3 different values; a probe tells two apart.')
    await pick('Label column', 'none')
    expect(opened.view.text()).toContain('Choose the column that says which rows have the property.')
  })

  it('keeps what was chosen while another form is looked at', async () => {
    const opened = await open()
    await click('A data set')
    opened.shell.chosen = '/data/moods.jsonl'
    await click('File…')
    await pick('With the property', 'happy')
    await click('Dictionary')
    await click('Probe')
    expect(await submitted(opened)).toMatchObject({ input: { dataset: { positive: 'happy' } } })
    expect(asked(opened, 'datasets.inspect')).toHaveLength(1)
  })

  it('leaves to the Data view what is dropped on the window', async () => {
    const opened = await open()
    await click('A data set')
    useDroppedData().path = '/dropped/rows.csv'
    await settle(16)
    expect(useDroppedData().path).toBe('/dropped/rows.csv')
    expect(asked(opened, 'datasets.inspect')).toEqual([])
  })

  it('lists with its result the rows that could not be used', async () => {
    const score = { rows: 2, accuracy: 1, auc: 1, calibration: null }
    const result = {
      kind: 'probe',
      modelName: 'synthetic',
      fingerprint: '0'.repeat(64),
      layers: [{ layer: 0, hook: 'blocks.0.hook_resid_post', training: score, test: score, control: null }],
      failed: 120,
      failures: [{ row: 7, error: { code: 'prompt.empty', message: 'The prompt is empty.' } }],
      file: '/jobs/probe.safetensors',
    }
    const opened = await open([jobRecord('done', { title: 'Moods', result })])
    await click('Moods')
    expect(opened.view.get('details.failures').text()).toContain('120 rows can not be used')
    expect(opened.view.get('details.failures').text()).toContain('row 7 The prompt is empty.')
    expect(opened.view.get('details.failures').text()).toContain('119 more')
  })
})

describe('written texts', () => {
  it('go through the chat template where the model has one', async () => {
    const opened = await open()
    const [positive, negative] = opened.view.findAll('textarea')
    await positive.setValue('a\nb')
    await negative.setValue('c\nd')
    await click('Chat turns')
    expect(opened.view.find('[aria-label="BOS token"]').exists()).toBe(false)
    expect(await submitted(opened)).toMatchObject({ input: { template: 'chat' } })
  })

  it('have no such choice where it has none, but a policy for BOS', async () => {
    const opened = await open([], {}, { ...model, hasChatTemplate: false })
    expect(opened.view.text()).not.toContain('Chat turns')
    await click('Steering vector')
    await field(opened, 'Example 1, prompt').setValue('The cat was')
    await field(opened, 'Example 1, target').setValue(' happy')
    await field(opened, 'Name of the preset').setValue('Gladness')
    await pick('BOS token', 'never')
    expect(await submitted(opened)).toMatchObject({
      kind: 'steering',
      input: { bos: 'never', template: 'none', hook: 'blocks.1.hook_resid_post' },
    })
  })
})

describe('the form', () => {
  it('is not held back by the browser, for which 1 is no whole number of steps from the least C', async () => {
    const opened = await open()
    expect(opened.view.get('form').attributes('novalidate')).toBeDefined()
  })
})

describe('a dictionary', () => {
  it('takes its texts from a file, and shows which column they are', async () => {
    const opened = await open()
    await click('Dictionary')
    await click('A file or folder')
    expect(opened.view.text()).toContain('Choose the file or folder of the texts.')
    opened.shell.chosen = '/data/texts.parquet'
    await click('File…')
    expect(opened.view.get('[aria-label="Columns of the data set"]').text()).toContain('When Mary 0')
    expect(opened.view.get('[aria-label="Columns of the data set"]').text()).not.toContain('mood')
    expect(await violations()).toEqual([])
    const started = (await submitted(opened)) as { input: unknown }
    expect(dictionaryInput.parse(started.input)).toMatchObject({
      texts: { kind: 'file', path: '/data/texts.parquet' },
      hook: 'blocks.1.hook_resid_post',
      outputHook: null,
      activation: 'topk',
      bos: 'model',
      template: 'none',
    })
  })

  it('reads its texts with BOS or as turns of a chat, as is chosen', async () => {
    const opened = await open()
    await click('Dictionary')
    await opened.view.get('textarea').setValue('one\ntwo')
    await pick('BOS token', 'always')
    expect(await submitted(opened)).toMatchObject({ input: { bos: 'always', template: 'none' } })
    await click('Dictionary')
    await click('Chat turns')
    expect(await submitted(opened)).toMatchObject({ input: { template: 'chat' } })
  })

  it('is a transcoder from the MLP’s input to its output, with the penalty of its kind', async () => {
    const opened = await open()
    await click('Dictionary')
    await opened.view.get('textarea').setValue('one\ntwo')
    await click('Transcoder')
    // SAELens has no TopK transcoder.
    expect(opened.view.get('[aria-label="Kind"]').text()).toBe('JumpReLU')
    await pick('Kind', 'Standard')
    await field(opened, 'λ').setValue(0.5)
    await field(opened, 'λ').trigger('change')
    await field(opened, 'of block').setValue(2)
    await field(opened, 'of block').trigger('change')
    expect(await submitted(opened)).toMatchObject({
      input: {
        texts: { kind: 'texts', texts: ['one', 'two'] },
        hook: 'blocks.1.ln2.hook_normalized',
        outputHook: 'blocks.2.hook_mlp_out',
        activation: 'standard',
        sparsity: 0.5,
      },
    })
  })

  it('says that a transcoder can not write where it reads, and that k is too large', async () => {
    const opened = await open()
    await click('Dictionary')
    await opened.view.get('textarea').setValue('one\ntwo')
    await click('Transcoder')
    await pick('Reconstructs', 'ln2.hook_normalized')
    expect(opened.view.text()).toContain('A transcoder writes at another hook point than it reads.')
    await click('Autoencoder')
    await pick('Kind', 'TopK')
    await field(opened, 'k').setValue(2000)
    await field(opened, 'k').trigger('change')
    await settle()
    expect(opened.view.text()).toContain('k is larger than the number of features.')
  })
})

describe('training storyworld', () => {
  it('is started without a model, with the settings that were typed', async () => {
    const opened = await open()
    useModels().current = null
    await settle()
    await click('Small model')
    await field(opened, 'Steps').setValue(100)
    await field(opened, 'Steps').trigger('change')
    await field(opened, 'Clip').setValue(0)
    await field(opened, 'Clip').trigger('change')
    expect(await violations()).toEqual([])
    expect(await submitted(opened)).toMatchObject({
      kind: 'train.storyworld',
      input: { steps: 100, seed: 1, rate: 0.002, clip: null, evaluateEvery: 500 },
    })
  })

  it('shows while it runs what the model knows by then, apart from the other numbers', async () => {
    const numbers = { loss: 2.5, 'accuracy: pronouns': 0.75, 'accuracy: induction (top-1)': 0.125 }
    const progress = { done: 10, total: 100, what: 'Step 10 of 100', eta: null, numbers }
    const opened = await open([jobRecord('running', { kind: 'train.storyworld', title: 'Tiny', progress })])
    await click('Tiny')
    const rows = opened.view.findAll('.families tbody tr').map((row) => row.text())
    expect(rows).toEqual(['pronouns75 %', 'induction (top-1)12.5 %'])
    expect(opened.view.get('dl').text()).not.toContain('pronouns')
    expect(await violations()).toEqual([])
  })

  it('opens the trained model when it is done', async () => {
    const result = { kind: 'storyworld', steps: 100, model: '/jobs/1/model', accuracy: { pronouns: 1 } }
    const opened = await open([jobRecord('done', { kind: 'train.storyworld', title: 'Tiny', result })], {
      'model.forecast': () => null,
      'model.open': () => ({ ...model, handle: 'trained' }),
      'model.close': () => ({}),
      'library.list': () => [],
    })
    await click('Tiny')
    expect(opened.view.text()).toContain('100 %')
    await click('Open the model')
    expect(asked(opened, 'model.open')).toMatchObject([{ location: { kind: 'path', path: '/jobs/1/model' } }])
    expect([useModels().current?.handle, useView().current]).toEqual(['trained', 'prompt'])
  })
})

describe('a model without a tokenizer', () => {
  it('has texts that are token ids, and every form says which', async () => {
    const opened = await open([], {}, { ...model, hasChatTemplate: false, warnings: [noTokenizer] })
    for (const form of ['Probe', 'Steering vector', 'Dictionary']) {
      await click(form)
      await settle()
      expect(opened.view.get('form').text()).toContain(`from 0 to ${model.vocab - 1}`)
      expect(opened.view.find('form [aria-label="BOS token"]').exists()).toBe(false)
    }
    expect(opened.view.text()).not.toContain('leading spaces')
    expect(await violations()).toEqual([])
  })
})

describe('while no model is open', () => {
  it('jobs are listed and can be looked at; forms that need one say so', async () => {
    const opened = await open([jobRecord('paused', { title: 'Waits' })])
    useModels().current = null
    await settle()
    expect(opened.view.text()).toContain('No model is open')
    expect(opened.view.text()).toContain('A linear classifier at every layer')
    expect(await violations()).toEqual([])
    await click('Waits')
    expect(opened.view.get('form').isVisible()).toBe(false)
    expect(opened.view.text()).not.toContain('No model is open')
    expect(opened.view.get('.detail .state').text()).toBe('paused')
  })

  it('says which one was not opened, and leaves the reason to its message', async () => {
    const opened = await open()
    const models = useModels()
    models.current = null
    opened.engine.answers['model.inspect'] = () => {
      throw new PatchbayError('input.invalid', 'The file is broken.')
    }
    await models.openPath('/models/broken')
    await settle()
    expect(opened.view.text()).toContain('broken was not opened')
    expect(opened.view.text()).not.toContain('The file is broken.')
  })

  it('the form that needs none is a step away', async () => {
    const opened = await open()
    useModels().current = null
    await settle()
    await click('Train storyworld from scratch')
    expect(opened.view.get('form').isVisible()).toBe(true)
    expect(await submitted(opened)).toMatchObject({ kind: 'train.storyworld' })
  })
})
