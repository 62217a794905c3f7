import { mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { defineComponent, h, KeepAlive, nextTick, ref, useTemplateRef } from 'vue'
import { useKeptScroll } from '../../../renderer/views/keep-scroll'

describe('a list in a view that is put away', () => {
  it('is scrolled to where it was when the view comes back', async () => {
    const List = defineComponent({
      setup() {
        useKeptScroll(useTemplateRef<HTMLElement>('list'))
        return () => h('div', { ref: 'list', class: 'list' })
      },
    })
    const shown = ref(true)
    const app = mount({ render: () => h(KeepAlive, null, { default: () => (shown.value ? h(List) : null) }) })
    await nextTick()
    const list = app.get<HTMLElement>('.list').element
    list.scrollTop = 120
    list.dispatchEvent(new Event('scroll'))
    shown.value = false
    await nextTick()
    list.scrollTop = 0 // as browsers do with what leaves the document
    shown.value = true
    await nextTick()
    expect(app.get('.list').element).toBe(list)
    expect(list.scrollTop).toBe(120)
  })
})
