import { mount, type VueWrapper } from '@vue/test-utils'
import { TooltipProvider } from 'reka-ui'
import { afterEach, describe, expect, it } from 'vitest'
import { h } from 'vue'
import type { CallOutput } from '../../preload/api'
import type { Certificate } from '../../preload/certificate'
import { PatchbayError } from '../../preload/errors'
import ModelMenu from '../../renderer/components/ModelMenu.vue'
import { useCertificates } from '../../renderer/stores/certificates'
import { useEngine } from '../../renderer/stores/engine'
import { useJobs } from '../../renderer/stores/jobs'
import { useModels } from '../../renderer/stores/models'
import { useView } from '../../renderer/stores/view'
import { violations } from './support/accessible'
import { status } from './support/fake-engine'
import { fingerprint } from './support/fake-model'
import { button, settle } from './support/launch'
import { setUp } from './support/setup'

type World = ReturnType<typeof setUp>

const certificate = (more: Partial<Certificate> = {}): Certificate => ({
  format: 'patchbay.certificate',
  version: 1,
  fingerprint,
  modelName: 'storyworld',
  precision: 'float32',
  provider: 'cpu',
  patchbay: '0.1.0',
  onnxruntime: '1.30.0',
  date: '2026-01-01T00:00:00.000Z',
  source: { kind: 'self-check' },
  groups: [
    {
      group: 'batched',
      count: 18,
      worst: 7.1e-7,
      worstTensor: 'logits of row 1',
      tolerance: 5e-5,
      passed: true,
    },
  ],
  notes: [],
  passed: true,
  ...more,
})
const failed = certificate({
  source: {
    kind: 'reference',
    name: '<img src=x onerror=alert(1)>',
    sha256: fingerprint,
    computedIn: 'float64',
  },
  groups: [
    { group: 'logits', count: 1, worst: 0.02, worstTensor: 'logits', tolerance: 1e-4, passed: false },
    { group: 'generation', count: 2, worst: 0.5, worstTensor: 'generate.ids', tolerance: 0, passed: false },
    { group: 'patterns', count: 4, worst: null, worstTensor: 'p', tolerance: 1e-4, passed: false },
  ],
  passed: false,
})
const knowing = (...certificates: Certificate[]): CallOutput<'certificate.get'> => ({
  certificates,
  summary:
    certificates.length === 0
      ? null
      : {
          source: certificates[0].source.kind,
          passed: certificates[0].passed,
          worst: certificates[0].groups[0].worst,
          date: certificates[0].date,
        },
  warnings: [],
})

let menu: VueWrapper | null = null
afterEach(() => {
  menu?.unmount()
  menu = null
  document.body.innerHTML = ''
})

/** The model menu, open, with an engine that knows these certificates. */
async function open(
  known: CallOutput<'certificate.get'> = knowing(),
  prepare: (world: World) => void = () => undefined,
): Promise<World> {
  const world = setUp()
  world.engine.handlers['certificate.get'] = () => known
  prepare(world)
  useEngine().setStatus(status)
  await useModels().open({ location: { kind: 'embedded' } })
  menu = mount(
    { render: () => h(TooltipProvider, null, { default: () => h(ModelMenu) }) },
    { global: { plugins: [world.pinia] }, attachTo: document.body },
  )
  useView().modelMenuOpen = true
  await settle()
  return world
}
async function openPanel(known?: CallOutput<'certificate.get'>, badge = 'not certified'): Promise<World> {
  const world = await open(known)
  button(badge).click()
  await settle()
  return world
}
const dialog = (): HTMLElement =>
  document.querySelector<HTMLElement>('[role=dialog].dialog') ?? expect.fail('there is no dialog')
const texts = (selector: string): string[] =>
  [...dialog().querySelectorAll(selector)].map((element) => element.textContent.trim())

describe('the badge in the model menu', () => {
  it('says that a model was never checked', async () => {
    await open()
    expect(button('not certified')).toBeTruthy()
  })

  it('says how far off it is, and from what', async () => {
    await open(knowing(certificate()))
    expect(button('self-checked, 7e-7')).toBeTruthy()
  })

  it('stands beside the models of the library', async () => {
    await open(knowing(), ({ engine }) => {
      const list = engine.handlers['library.list']
      engine.handlers['library.list'] = async (input) =>
        ((await list?.(input)) ?? []).map((entry) => ({
          ...entry,
          certificates: [
            {
              provider: 'cpu',
              precision: 'float32',
              source: 'reference',
              passed: true,
              worst: 7e-7,
              date: 'x',
            },
          ],
        }))
    })
    expect(document.querySelector('.library')?.textContent).toContain(
      'parity 7e-7 vs reference · float32 on CPU',
    )
  })
})

describe('the parity panel', () => {
  it('explains what to do where nothing was checked', async () => {
    await openPanel()
    expect(dialog().textContent).toContain('Never checked')
    expect(await violations(dialog())).toEqual([])
  })

  it('lists every group with its error and what is allowed', async () => {
    await openPanel(knowing(failed, certificate()), 'parity failed, 2e-2 vs reference')
    const rows = [...dialog().querySelectorAll('tbody tr')].map((row) =>
      [...row.children].map((cell) => cell.textContent.trim()),
    )
    expect(rows).toEqual([
      ['Logits', '0.02', '≤ 1e−4', '1'],
      ['Greedy continuations', '50.0 % differ', 'equal', '2'],
      ['Attention patterns', 'not comparable', '≤ 1e−4', '4'],
      ['Prompts in a padded batch against each alone', '7.1e−7', '≤ 5e−5', '18'],
    ])
    expect(texts('h3')).toEqual([
      'Against the reference <img src=x onerror=alert(1)> (float64)',
      'Against itself',
    ])
    expect(dialog().querySelector('img')).toBeNull()
    expect(await violations(dialog())).toEqual([])
  })

  it('does not let a certificate of another version count', async () => {
    await openPanel({ ...knowing(), certificates: [certificate({ onnxruntime: '1.29.0' })] })
    expect(dialog().textContent).toContain('ONNX Runtime 1.29.0; it says nothing about what computes now')
  })

  it('shows stored certificates that could not be read', async () => {
    await openPanel({ ...knowing(), warnings: ['The certificate "a.json" is passed over: it is damaged.'] })
    expect(dialog().textContent).toContain('passed over')
  })

  it('runs self-checks, shows how far they are, and what came out', async () => {
    const { engine } = await openPanel()
    engine.held.add('certificate.make')
    engine.handlers['certificate.make'] = () => {
      engine.handlers['certificate.get'] = () => knowing(certificate())
      return certificate()
    }
    button('Run self-checks').click()
    await settle()
    engine.say({
      type: 'progress',
      id: engine.last('certificate.make').id,
      value: { done: 3, total: 12, what: 'each prompt alone' },
    })
    await settle()
    expect(engine.last('certificate.make').input).toEqual({ model: 'storyworld:cpu:float32' })
    expect(dialog().textContent).toContain('Comparing each prompt alone')
    expect(dialog().querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')).toBe('25')
    expect(button('Run self-checks').disabled).toBe(true)
    expect(useJobs().running.map(({ title }) => title)).toContain('Parity check')

    await engine.release('certificate.make')
    await settle()
    expect(texts('h3')).toEqual(['Against itself'])
    expect(button('Run self-checks').disabled).toBe(false)
    expect(useCertificates().summary).toMatchObject({ source: 'self-check', passed: true })
    expect(engine.names().at(-1)).toBe('library.list')
  })

  it('can be cancelled, which is no error', async () => {
    const { engine } = await openPanel()
    engine.held.add('certificate.make')
    button('Run self-checks').click()
    await settle()
    button('Cancel').click()
    await settle()
    expect(engine.cancelled).toEqual([engine.last('certificate.make').id])
    expect(useCertificates().making).toBeNull()
    expect(useCertificates().error).toBeNull()
  })

  it('compares with the folder that the person chooses, and with none where the dialog is closed', async () => {
    const { engine, shell } = await openPanel()
    engine.handlers['certificate.make'] = () => certificate()
    button('Check against a reference').click()
    await settle()
    expect(engine.names()).not.toContain('certificate.make')
    shell.chosen = '/home/someone/llama-reference'
    button('Check against a reference').click()
    await settle()
    expect(engine.last('certificate.make').input).toEqual({
      model: 'storyworld:cpu:float32',
      reference: '/home/someone/llama-reference',
    })
  })

  it('says in its place why a reference can not be used', async () => {
    const { engine, shell } = await openPanel()
    shell.chosen = '/home/someone/other'
    engine.handlers['certificate.make'] = () => {
      throw new PatchbayError('model.mismatch', 'The reference "other" is of a model with 2 layers.', {
        next: 'Choose the reference that was made from this model.',
      })
    }
    button('Check against a reference').click()
    await settle()
    expect(dialog().querySelector('[role=alert]')?.textContent).toContain('of a model with 2 layers')
  })

  it('saves the program that makes a reference', async () => {
    const { engine, shell } = await openPanel()
    engine.handlers['certificate.script'] = () => ({ name: 'storyworld-reference.py', text: 'print(1)\n' })
    button('Save the Python program').click()
    await settle()
    expect(
      shell.saved.map(({ suggestedName, bytes }) => [suggestedName, new TextDecoder().decode(bytes)]),
    ).toEqual([['storyworld-reference.py', 'print(1)\n']])
  })

  it('asks again when the engine is back', async () => {
    const { engine, lose, connect } = await openPanel()
    lose()
    await settle()
    engine.handlers['certificate.get'] = () => knowing(certificate())
    connect()
    await settle()
    expect(useCertificates().summary).toMatchObject({ source: 'self-check' })
    expect(useCertificates().error).toBeNull()
  })
})
