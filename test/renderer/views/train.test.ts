import { afterEach, describe, expect, it } from 'vitest'
import type { CallName } from '../../../preload/api'
import type { JobRecord } from '../../../preload/jobs'
import type { ProbeLayer, TrainingResult } from '../../../preload/training'
import { usePresetChoice } from '../../../renderer/stores/preset-choice'
import { useView } from '../../../renderer/stores/view'
import { useModels } from '../../../renderer/stores/models'
import { stateText } from '../../../renderer/jobs/job-words'
import { bestLayer, thinned } from '../../../renderer/views/train/job-words'
import TrainView from '../../../renderer/views/train/TrainView.vue'
import { violations } from '../support/accessible'
import { jobAnswers, jobRecord } from '../support/job-record'
import { withLayout } from '../support/layout'
import { mountView, settle, type MountedView } from '../support/mount-view'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'

const layer = (index: number, accuracy: number): ProbeLayer => {
  const score = { rows: 10, accuracy, auc: accuracy, calibration: null }
  const bins = [
    { from: 0, to: 0.5, count: 5, predicted: 0.1, observed: 0.2 },
    { from: 0.5, to: 1, count: 5, predicted: 0.9, observed: 0.8 },
  ]
  return {
    layer: index,
    hook: `blocks.${index}.hook_resid_post`,
    training: score,
    test: { ...score, calibration: { bins, expectedError: 0.1, logLoss: 0.4, brier: 0.1 } },
    control: { accuracies: [0.4, 0.6], aucs: [0.4, 0.6], p: 1 / 3 },
  }
}
const layers = [layer(0, 0.6), layer(1, 0.9), layer(2, 0.8)]
const probe: TrainingResult = {
  kind: 'probe',
  modelName: 'synthetic',
  fingerprint: '0'.repeat(64),
  layers,
  failed: 0,
  failures: [],
  file: '/jobs/probe.safetensors',
}
const effect = { raised: 0.1, lowered: null, loss: 2 }
const steering: TrainingResult = {
  kind: 'steering',
  modelName: 'synthetic',
  fingerprint: '0'.repeat(64),
  hook: 'blocks.1.hook_resid_post',
  preset: 'gladness',
  norm: 2,
  maxNorm: 3,
  residualNorm: 6,
  before: effect,
  after: { ...effect, raised: 0.6 },
}

describe('the words of jobs', () => {
  it('tell state, step and the time left, and the best layer by AUC', () => {
    const progress = { done: 3, total: 50, what: 'Step 3 of 50', eta: 200, numbers: {} }
    expect(stateText(jobRecord('running', { progress }))).toBe('running · Step 3 of 50 · 3 min 20 s left')
    expect(stateText(jobRecord('done', { progress }))).toBe('done')
    expect(bestLayer(layers)).toBe(1)
  })
})

describe('a long loss curve', () => {
  it('is drawn as means of neighbouring steps, a short one as it is', () => {
    const points = [4, 2, 1, 3, 5].map((loss, step) => ({ step, loss }))
    expect(thinned(points, 3)).toEqual([
      { step: 1, loss: 3 },
      { step: 3, loss: 2 },
      { step: 4, loss: 5 },
    ])
    expect(thinned(points)).toEqual(points)
  })
})

describe('the train view', () => {
  withLayout()
  let mounted: MountedView | null = null
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
  })
  async function open(jobs: JobRecord[] = [], more: Answers = {}): Promise<MountedView> {
    mounted = await mountView(TrainView, syntheticEngine({ ...jobAnswers(jobs, probe), ...more }))
    await settle(16)
    return mounted
  }
  const button = ({ view }: MountedView, text: string) => {
    const found = view.findAll('button').find((candidate) => candidate.text().startsWith(text))
    if (found === undefined) throw new Error(`no button ${text}`)
    return found
  }
  const asked = ({ engine }: MountedView, name: CallName): unknown[] =>
    engine.made.filter((call) => call.name === name).map(({ input }) => input)
  const labelled = ({ view }: MountedView, label: string) => {
    const found = view.findAll('label').find((each) => each.text() === label)
    if (found === undefined) throw new Error(`no field ${label}`)
    return found.get('input')
  }
  async function choose(opened: MountedView, title: string): Promise<void> {
    await button(opened, title).trigger('click')
    await settle()
  }

  it('says that there are no jobs, and what a probe still needs', async () => {
    const opened = await open()
    expect(opened.view.text()).toContain('No jobs yet')
    expect(opened.view.text()).toContain('Write at least two texts with the property.')
    expect(button(opened, 'Start').attributes('disabled')).toBeDefined()
  })

  it('starts a probe from written texts, and shows accuracy by layer with its control and calibration', async () => {
    const opened = await open()
    const [positive, negative] = opened.view.findAll('textarea')
    await positive.setValue('glad\n\nmerry\n')
    await negative.setValue('sad\nangry')
    await opened.view.get('form').trigger('submit')
    await settle(16)
    expect(asked(opened, 'jobs.start')).toEqual([
      {
        kind: 'probe',
        input: expect.objectContaining({
          model: useModels().current?.source,
          site: 'hook_resid_post',
          bos: 'model',
          template: 'none',
          examples: [
            { text: 'glad', label: 1 },
            { text: 'merry', label: 1 },
            { text: 'sad', label: 0 },
            { text: 'angry', label: 0 },
          ],
        }) as unknown,
      },
    ])
    expect(opened.view.find('[aria-label="Accuracy by layer"]').exists()).toBe(true)
    expect(opened.view.find('[aria-label="Calibration"]').exists()).toBe(true)
    expect(opened.view.text()).toContain('blocks.1.hook_resid_post')
    await opened.view.get('[aria-label="Accuracy by layer"]').trigger('keydown', { key: 'ArrowRight' })
    await settle()
    expect(opened.view.text()).toContain('blocks.2.hook_resid_post')
    expect(await violations()).toEqual([])
  })

  it('makes a steering job of the written examples only', async () => {
    const opened = await open()
    await button(opened, 'Steering vector').trigger('click')
    const field = (label: string) => opened.view.get(`[aria-label="${label}"]`)
    await field('Example 1, prompt').setValue('The cat was')
    expect(opened.view.text()).toContain('Example 1 needs a prompt and a target.')
    await field('Example 1, target').setValue(' happy')
    expect(opened.view.text()).toContain('Give it a name.')
    await labelled(opened, 'Name of the preset').setValue('Gladness ')
    await opened.view.get('form').trigger('submit')
    await settle()
    expect(asked(opened, 'jobs.start')).toMatchObject([
      {
        kind: 'steering',
        input: {
          name: 'Gladness',
          maxNorm: null,
          examples: [{ prompt: 'The cat was', target: ' happy', avoided: null }],
        },
      },
    ])
    expect(await violations()).toEqual([])
  })

  it('hands a made vector to the Steer view', async () => {
    const job = jobRecord('done', { kind: 'steering', title: 'Optimise', result: steering })
    const opened = await open([job])
    await choose(opened, 'Optimise')
    expect(opened.view.text()).toContain('10 % → 60 %')
    await button(opened, 'Open in Steer').trigger('click')
    expect([usePresetChoice().wanted, useView().current]).toEqual(['gladness', 'steer'])
  })

  it('follows what runs, draws its loss, and pauses and cancels it', async () => {
    const progress = { done: 2, total: 4, what: 'Step 2 of 4', eta: 3, numbers: { loss: 0.5 } }
    const job = jobRecord('running', { title: 'Long', progress })
    const opened = await open([job], {
      'jobs.watch': (_, { progress: tell, signal }) => {
        tell({ job, points: [0, 1].map((step) => ({ step, loss: 1 / (step + 1) })) })
        return new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
        })
      },
      'jobs.pause': () => ({ ...job, state: 'paused' }),
      'jobs.cancel': () => ({ ...job, state: 'cancelled' }),
    })
    await choose(opened, 'Long')
    expect(opened.view.text()).toContain('running · Step 2 of 4 · 3 s left')
    expect(opened.view.find('[aria-label="Loss by step"]').exists()).toBe(true)
    const bar = opened.view.get('.detail [role="progressbar"]')
    expect(bar.attributes('aria-valuenow')).toBe('50')
    await button(opened, 'Pause').trigger('click')
    await settle()
    expect(asked(opened, 'jobs.pause')).toEqual([{ id: job.id }])
    expect(opened.view.get('.detail .state').text()).toBe('paused')
    await button(opened, 'Cancel').trigger('click')
    await settle()
    expect(opened.view.get('.detail .state').text()).toBe('cancelled')
  })

  it('shows why a job failed and what to do, and asks before it removes one', async () => {
    const job = jobRecord('failed', {
      title: 'Broken',
      error: { code: 'disk.full', message: 'The disk is full.', next: 'Free some space.' },
    })
    const opened = await open([job], { 'jobs.remove': () => ({}) })
    await choose(opened, 'Broken')
    expect(opened.view.get('[role="alert"]').text()).toContain('Free some space.')
    await button(opened, 'Remove').trigger('click')
    await settle()
    expect(asked(opened, 'jobs.remove')).toEqual([])
    const confirm = [...document.querySelectorAll<HTMLElement>('.dialog .primary')]
    confirm[0].click()
    await settle()
    expect(asked(opened, 'jobs.remove')).toEqual([{ id: job.id }])
    expect(opened.view.text()).toContain('No jobs yet')
  })

  it('shows an error in place of the list, and tries again', async () => {
    let failures = 1
    const opened = await open([], {
      'jobs.list': () => {
        if (failures-- > 0) throw new Error('broken')
        return { jobs: [jobRecord('done', { title: 'Found' })], unreadable: [], warning: null }
      },
    })
    await button(opened, 'Try again').trigger('click')
    await settle()
    expect(opened.view.text()).toContain('Found')
  })
})
