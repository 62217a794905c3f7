import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { h, nextTick } from 'vue'
import { TooltipProvider } from 'reka-ui'
import { PatchbayError } from '../../preload/errors'
import NoticeList from '../../renderer/components/NoticeList.vue'
import { useNotices } from '../../renderer/stores/notices'
import { setUp } from './support/setup'

function list() {
  setUp()
  return mount(
    { render: () => h(TooltipProvider, null, { default: () => h(NoticeList) }) },
    { attachTo: document.body },
  )
}
const messages = () => useNotices().notices.map((notice) => notice.message)
const after = async (ms: number) => {
  await nextTick()
  await vi.advanceTimersByTimeAsync(ms)
}
const pointAt = (x: number, y: number) =>
  window.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y }))

describe('messages', () => {
  let app: ReturnType<typeof list>
  beforeEach(() => {
    vi.useFakeTimers()
    app = list()
  })
  afterEach(() => {
    app.unmount()
    vi.useRealTimers()
  })

  it('that something was done go by themselves; errors and warnings stay', async () => {
    const notices = useNotices()
    notices.done('Saved as /a.png.')
    notices.warn('The configuration says so.')
    notices.report(new PatchbayError('disk.full', 'The disk is full.'))
    await after(5900)
    expect(messages()).toHaveLength(3)
    await after(200)
    await after(60_000)
    expect(messages()).toEqual(['The configuration says so.', 'The disk is full.'])
  })

  it('wait while the mouse is over them, which they let through to what lies below', async () => {
    useNotices().done('Saved as /a.png.')
    await after(0)
    const card = app.get<HTMLElement>('[role=status]').element
    vi.spyOn(card, 'getBoundingClientRect').mockReturnValue(new DOMRect(100, 100, 200, 40))
    pointAt(150, 120)
    await after(60_000)
    expect(messages()).toHaveLength(1)
    pointAt(20, 20)
    await after(6100)
    expect(messages()).toEqual([])
  })

  it('wait while a button in them has the focus', async () => {
    useNotices().done('Saved as /a.png.')
    await after(0)
    const button = app.get<HTMLButtonElement>('button[aria-label=Dismiss]')
    button.element.focus()
    await after(60_000)
    expect(messages()).toHaveLength(1)
    button.element.blur()
    await after(6100)
    expect(messages()).toEqual([])
  })

  it('offer what can be done about them', async () => {
    const run = vi.fn()
    useNotices().done('tiny-model is here.', { label: 'Open', run })
    await after(0)
    const open = app.findAll('button').find((button) => button.text() === 'Open')
    await open?.trigger('click')
    expect(run).toHaveBeenCalledOnce()
    expect(messages()).toEqual([])
  })
})
