/** What is dropped on the window: a model is opened, a data set goes to the form that takes one, else to the Data view. */
import { afterEach, describe, expect, it } from 'vitest'
import { mount } from '@vue/test-utils'
import DropOverlay from '../../renderer/components/DropOverlay.vue'
import { useDroppedData } from '../../renderer/stores/dropped-data'
import { useModels } from '../../renderer/stores/models'
import { useView } from '../../renderer/stores/view'
import TrainView from '../../renderer/views/train/TrainView.vue'
import { jobAnswers } from './support/job-record'
import { withLayout } from './support/layout'
import { mountView, settle, type MountedView } from './support/mount-view'
import { datasetAnswers } from './support/synthetic-collections'
import { syntheticEngine } from './support/synthetic-engine'

describe('a data set that is dropped on the window', () => {
  withLayout()
  let opened: MountedView
  let overlay: { unmount: () => void; text: () => string }
  afterEach(() => {
    overlay.unmount()
    opened.view.unmount()
  })

  async function open(): Promise<void> {
    opened = await mountView(TrainView, syntheticEngine({ ...datasetAnswers(), ...jobAnswers([]) }))
    useView().show('train')
    await settle()
    overlay = mount(DropOverlay, { attachTo: document.body })
  }
  async function drag(name: 'dragenter' | 'drop', path: string): Promise<void> {
    opened.shell.pathForFile = () => path
    const event = new Event(name, { cancelable: true })
    Object.assign(event, { dataTransfer: { types: ['Files'], files: [new File([], 'dropped')] } })
    window.dispatchEvent(event)
    await settle(16)
  }
  async function form(name: string): Promise<void> {
    const found = opened.view.findAll('.actions button').find((button) => button.text() === name)
    await found?.trigger('click')
    await settle()
  }
  const inspected = (): unknown[] =>
    opened.engine.made.filter(({ name }) => name === 'datasets.inspect').map(({ input }) => input)

  it('becomes the examples of the probe that is being chosen', async () => {
    await open()
    await drag('dragenter', '')
    expect(overlay.text()).toContain('it becomes the probe’s examples')
    await drag('drop', '/dropped/rows.csv')
    expect(overlay.text()).toBe('')
    expect(inspected()).toEqual([{ source: { kind: 'file', path: '/dropped/rows.csv' } }])
    expect(opened.view.text()).toContain('rows.csv')
    expect(useView().current).toBe('train')
  })

  it('becomes the texts of the dictionary that is being chosen', async () => {
    await open()
    await form('Dictionary')
    await drag('drop', '/dropped/texts.parquet')
    expect(inspected()).toEqual([{ source: { kind: 'file', path: '/dropped/texts.parquet' } }])
    expect(useView().current).toBe('train')
  })

  it('goes to the Data view where no form in sight has room for it', async () => {
    await open()
    await form('Steering vector')
    await drag('drop', '/dropped/rows.csv')
    expect([useDroppedData().path, useView().current]).toEqual(['/dropped/rows.csv', 'data'])
    await form('Probe')
    await drag('drop', '/dropped/others.csv')
    // Not in sight any more.
    expect(useDroppedData().path).toBe('/dropped/others.csv')
    useView().show('train')
    useModels().current = null
    await drag('drop', '/dropped/last.csv')
    expect(useDroppedData().path).toBe('/dropped/last.csv')
    expect(inspected()).toEqual([])
  })

  it('is no model: a folder and a model file are opened, also over a form', async () => {
    await open()
    for (const path of ['/models/one.gguf', '/models/folder']) {
      await drag('drop', path)
      const asked = opened.engine.made.filter(
        ({ name }) => name.startsWith('model.') || name.startsWith('onnx.'),
      )
      expect(JSON.stringify(asked.map(({ input }) => input))).toContain(path)
    }
    expect(inspected()).toEqual([])
  })
})
