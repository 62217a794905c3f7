import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { defineComponent, h, type Component } from 'vue'
import { useJobs } from '../../../renderer/stores/jobs'
import { fetchedView } from '../../../renderer/views/fetched-view'
import { settle } from '../support/mount-view'

const Shown = defineComponent({ render: () => h('p', 'the view') })

beforeEach(() => setActivePinia(createPinia()))

describe('a view that is fetched', () => {
  it('shows that it is loading where that takes long, and keeps the window from counting as settled', async () => {
    vi.useFakeTimers()
    try {
      let arrive: (view: { default: Component }) => void = () => undefined
      const app = mount(fetchedView(() => new Promise((resolve) => (arrive = resolve))))
      expect(app.find('[role="progressbar"]').exists()).toBe(false)
      expect(useJobs().busy).toBe(true)
      await vi.advanceTimersByTimeAsync(1000)
      expect(app.find('[role="progressbar"]').exists()).toBe(true)
      arrive({ default: Shown })
      await vi.advanceTimersByTimeAsync(0)
      expect(app.text()).toBe('the view')
      expect(useJobs().busy).toBe(false)
    } finally {
      vi.useRealTimers()
    }
  })

  it('says that it could not be loaded, and loads it when one tries again', async () => {
    let works = false
    const app = mount(
      fetchedView(() =>
        works ? Promise.resolve({ default: Shown }) : Promise.reject(new TypeError('no such chunk')),
      ),
      { global: { config: { errorHandler: () => undefined } } },
    )
    await settle()
    expect(app.get('[role="alert"]').text()).toContain('no such chunk')
    expect(useJobs().busy).toBe(false)
    works = true
    await app.get('button').trigger('click')
    await settle()
    expect(app.text()).toBe('the view')
  })
})
