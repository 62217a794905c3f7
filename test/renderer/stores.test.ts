import { describe, expect, it, vi } from 'vitest'
import { nextTick, watchEffect } from 'vue'
import { PatchbayError } from '../../preload/errors'
import { useInspector } from '../../renderer/stores/inspector'
import { useJobs } from '../../renderer/stores/jobs'
import { noticeText, useNotices } from '../../renderer/stores/notices'
import { useSelection } from '../../renderer/stores/selection'
import { drawerBelow, useView } from '../../renderer/stores/view'
import { setUp } from './support/setup'

describe('the selection', () => {
  it('starts at the last position behind the last block', () => {
    setUp()
    const selection = useSelection()
    selection.reset({ layers: 4, heads: 2, positions: 10 })
    expect(selection.current).toEqual({ layer: 3, head: 0, position: 9, point: 4 })
  })

  it('stays within model and prompt', () => {
    setUp()
    const selection = useSelection()
    selection.reset({ layers: 4, heads: 2, positions: 10 })
    selection.select({ layer: 99, head: 5, position: -3 })
    expect(selection.current).toEqual({ layer: 3, head: 1, position: 0, point: 4 })
  })

  it('means a block together with the residual stream behind it', () => {
    setUp()
    const selection = useSelection()
    selection.reset({ layers: 4, heads: 2, positions: 10 })
    selection.select({ point: 2 })
    expect(selection.current.layer).toBe(1)
    selection.select({ layer: 2 })
    expect(selection.current.point).toBe(3)
    selection.select({ point: 0 })
    expect(selection.current).toMatchObject({ point: 0, layer: 2 })
  })

  it('pins what is selected and unpins it when pinned again', () => {
    setUp()
    const selection = useSelection()
    selection.reset({ layers: 4, heads: 2, positions: 10 })
    selection.togglePin()
    selection.select({ position: 3 })
    expect(selection.pinned).toMatchObject({ position: 9 })
    expect(selection.isPinned).toBe(false)
    selection.select({ position: 9 })
    expect(selection.isPinned).toBe(true)
    selection.togglePin()
    expect(selection.pinned).toBeNull()
  })

  it('follows the end of a growing prompt, and loses a pin that is beyond a shorter one', () => {
    setUp()
    const selection = useSelection()
    selection.reset({ layers: 4, heads: 2, positions: 10 })
    selection.resize(12)
    expect(selection.current.position).toBe(11)
    selection.togglePin()
    selection.select({ position: 2 })
    selection.resize(5)
    expect(selection.current.position).toBe(2)
    expect(selection.pinned).toBeNull()
  })
})

describe('the notices', () => {
  it('keep code, sentence, next step and place of an error, as one text to copy', () => {
    setUp()
    const notices = useNotices()
    notices.report(
      new PatchbayError('file.malformed', 'The header is too long.', {
        next: 'Fetch the file again.',
        file: 'model.safetensors',
        offset: 8,
      }),
    )
    expect(noticeText(notices.notices[0])).toBe(
      'file.malformed: The header is too long.\nWhere: model.safetensors, byte 8\nFetch the file again.',
    )
  })

  it('do not show a cancellation', () => {
    setUp()
    useNotices().report(new PatchbayError('run.cancelled', 'Cancelled.'))
    expect(useNotices().notices).toEqual([])
  })

  it('show a repeated error once, and at most five things', () => {
    setUp()
    const notices = useNotices()
    for (let i = 0; i < 8; i++) notices.warn(`warning ${i}`)
    notices.warn('warning 7')
    expect(notices.notices.map(({ message }) => message)).toEqual([3, 4, 5, 6, 7].map((i) => `warning ${i}`))
    notices.dismiss(notices.notices[0].id)
    expect(notices.notices).toHaveLength(4)
  })
})

describe('the view', () => {
  it('follows the system’s theme until one is chosen', () => {
    setUp()
    const view = useView()
    view.systemDark = true
    expect(view.theme).toBe('dark')
    view.themeChoice = 'light'
    expect(view.theme).toBe('light')
  })

  it('turns the inspector into a drawer that starts closed in a small window', async () => {
    setUp()
    const view = useView()
    expect(view.inspectorOpen).toBe(true)
    view.width = drawerBelow - 1
    await nextTick()
    expect(view.inspectorOpen).toBe(false)
    view.toggleInspector()
    expect(view.inspectorOpen).toBe(true)
    view.width = drawerBelow
    expect(view.inspectorOpen).toBe(true)
  })
})

describe('the jobs', () => {
  it('list what runs until it ends, first come first shown', () => {
    setUp()
    const jobs = useJobs()
    const cancel = vi.fn()
    const first = jobs.start('Logit lens', cancel)
    const second = jobs.start('Attention', cancel)
    first.progress(0.5)
    expect(jobs.foremost).toMatchObject({ title: 'Logit lens', fraction: 0.5 })
    first.end()
    expect(jobs.foremost?.title).toBe('Attention')
    jobs.cancelAll()
    expect(cancel).toHaveBeenCalledOnce()
    second.end()
    expect(jobs.busy).toBe(false)
  })
})

describe('the inspector', () => {
  const subject = (title: string) => ({ title, rows: [], explanation: '' })

  it('shows what the current view selected, and keeps that of the others', () => {
    setUp()
    const inspector = useInspector()
    inspector.inspect('prompt', subject('a cell'))
    inspector.inspect('layers', subject('a neuron'))
    expect(inspector.subject?.title).toBe('a cell')
    inspector.follow('layers')
    expect(inspector.subject?.title).toBe('a neuron')
    inspector.inspect('layers', null)
    expect(inspector.subject).toBeNull()
  })

  it('can be told from effects of several views without waking them', async () => {
    setUp()
    const inspector = useInspector()
    let runs = 0
    for (const view of ['layers', 'compare'] as const)
      watchEffect(() => {
        if (++runs < 100) inspector.inspect(view, subject(view))
      })
    await nextTick()
    expect(runs).toBe(2)
  })
})
