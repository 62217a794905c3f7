import { mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { defineComponent, h, KeepAlive, nextTick, ref, useTemplateRef } from 'vue'
import { useKeptScroll } from '../../../renderer/views/keep-scroll'

/** As browsers do with what leaves the document. */
const forget = (...elements: HTMLElement[]) => {
  for (const element of elements) element.scrollTop = 0
}

describe('what is scrolled in a view that is put away', () => {
  it('is where it was when the view comes back, the frame as well as the lists in it', async () => {
    const view = (name: string) =>
      defineComponent({ name, render: () => h('div', { class: `list ${name}` }, name) })
    const views = { one: view('one'), two: view('two') }
    const shown = ref<'one' | 'two'>('one')
    const Frame = defineComponent({
      setup() {
        useKeptScroll(useTemplateRef<HTMLElement>('frame'), () => shown.value)
        return () =>
          h(
            'div',
            { ref: 'frame', class: 'frame' },
            h(KeepAlive, null, { default: () => h(views[shown.value]) }),
          )
      },
    })
    const app = mount(Frame, { attachTo: document.body })
    await nextTick()
    const frame = app.get<HTMLElement>('.frame').element
    const list = app.get<HTMLElement>('.list').element
    const scroll = (element: HTMLElement, top: number) => {
      element.scrollTop = top
      element.dispatchEvent(new Event('scroll'))
    }
    scroll(list, 120)
    scroll(frame, 40)
    shown.value = 'two'
    await nextTick()
    await nextTick()
    expect(frame.scrollTop).toBe(0)
    forget(list)
    shown.value = 'one'
    await nextTick()
    await nextTick()
    expect(app.get('.one').element).toBe(list)
    expect([list.scrollTop, frame.scrollTop]).toEqual([120, 40])
    app.unmount()
  })
})
