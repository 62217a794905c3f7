import { mount } from '@vue/test-utils'
import { flushPromises } from '@vue/test-utils'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { defineComponent, h, KeepAlive, nextTick, ref } from 'vue'
import type { Ref } from 'vue'
import { PatchbayError } from '../../preload/errors'
import type { LensMap } from '../../preload/views'
import { useQuery } from '../../renderer/queries/query'
import type { Query, QueryOptions } from '../../renderer/queries/query'
import { Recent } from '../../renderer/queries/recent'
import { useJobs } from '../../renderer/stores/jobs'
import { setUp } from './support/setup'

/** A component that asks for the lens of `tokens`, in a KeepAlive that `shown` empties. */
function asking(tokens: Ref<number[] | null>, options: Partial<QueryOptions> = {}) {
  const shown = ref(true)
  const made: { query: Query<LensMap> | null } = { query: null }
  const Asker = defineComponent({
    setup() {
      made.query = useQuery('lens.map', () => tokens.value && { model: 'm', tokens: tokens.value }, {
        title: 'Logit lens',
        ...options,
      })
      return () => h('div')
    },
  })
  const wrapper = mount(() => h(KeepAlive, () => (shown.value ? h(Asker) : undefined)))
  if (made.query === null) throw new Error('the component was not set up')
  return { query: made.query, shown, wrapper }
}
const settle = async () => {
  await nextTick()
  await flushPromises()
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a query', () => {
  it('asks at once and gives the answer', async () => {
    setUp()
    const { query } = asking(ref([1, 2]))
    expect(query.pending.value).toBe(true)
    await settle()
    expect(query.data.value?.topIds.shape).toEqual([5, 2])
    expect(query.pending.value).toBe(false)
  })

  it('keeps the old picture as stale while the new one is computed', async () => {
    const { engine } = setUp()
    const tokens = ref<number[] | null>([1])
    const { query } = asking(tokens)
    await settle()
    engine.held.add('lens.map')
    tokens.value = [1, 2, 3]
    await settle()
    expect(query.stale.value).toBe(true)
    expect(query.data.value?.topIds.shape).toEqual([5, 1])
    await engine.release('lens.map')
    await settle()
    expect(query.stale.value).toBe(false)
    expect(query.data.value?.topIds.shape).toEqual([5, 3])
  })

  it('cancels a call that nobody waits for any more, and ignores its late answer', async () => {
    const { engine } = setUp()
    engine.held.add('lens.map')
    engine.obedient = false
    const tokens = ref<number[] | null>([1])
    const { query } = asking(tokens)
    await settle()
    tokens.value = [1, 2]
    await settle()
    expect(engine.cancelled).toEqual([0])
    await engine.release('lens.map')
    await settle()
    expect(query.data.value?.topIds.shape).toEqual([5, 2])
    expect(query.error.value).toBeNull()
  })

  it('clears its result when there is nothing to ask', async () => {
    setUp()
    const tokens = ref<number[] | null>([1])
    const { query } = asking(tokens)
    await settle()
    tokens.value = null
    await settle()
    expect(query.data.value).toBeNull()
    expect(query.pending.value).toBe(false)
  })

  it('does not ask again for the same question', async () => {
    const { engine } = setUp()
    const tokens = ref<number[] | null>([1])
    asking(tokens)
    await settle()
    tokens.value = [1]
    await settle()
    expect(engine.names()).toEqual(['lens.map'])
  })

  it('shows an error and asks again on retry', async () => {
    const { engine } = setUp()
    const healthy = engine.handlers['lens.map']
    engine.handlers['lens.map'] = () => {
      throw new PatchbayError('run.failed', 'It failed.')
    }
    const { query } = asking(ref([1]))
    await settle()
    expect(query.error.value?.code).toBe('run.failed')
    expect(query.pending.value).toBe(false)
    engine.handlers['lens.map'] = healthy
    query.retry()
    await settle()
    expect(query.error.value).toBeNull()
    expect(query.data.value).not.toBeNull()
  })

  it('asks again by itself when the engine is back', async () => {
    const { engine, lose, connect } = setUp()
    engine.held.add('lens.map')
    const { query } = asking(ref([1]))
    await settle()
    lose()
    await settle()
    expect(query.error.value).toBeNull()
    expect(query.pending.value).toBe(true)
    engine.held.clear()
    connect()
    await settle()
    expect(query.data.value).not.toBeNull()
  })

  it('does not ask a third time when the engine died twice over the same question', async () => {
    const { engine, lose, connect } = setUp()
    engine.held.add('lens.map')
    const { query } = asking(ref([1]))
    for (let i = 0; i < 2; i++) {
      await settle()
      lose()
      await settle()
      connect()
    }
    await settle()
    expect(query.error.value?.code).toBe('engine.stopped')
    expect(engine.names()).toHaveLength(2)
  })

  it('is listed as a job with its progress, and says that the person cancelled it', async () => {
    const { engine } = setUp()
    engine.held.add('lens.map')
    const { query } = asking(ref([1]))
    await settle()
    engine.say({ type: 'progress', id: 0, value: { done: 1, total: 4 } })
    const jobs = useJobs()
    expect(jobs.foremost).toMatchObject({ title: 'Logit lens', fraction: 0.25 })
    expect(query.fraction.value).toBe(0.25)
    jobs.cancelAll()
    await settle()
    expect(query.error.value?.code).toBe('run.cancelled')
    expect(jobs.busy).toBe(false)
  })

  it('sleeps while its view is hidden and catches up when it is shown', async () => {
    const { engine } = setUp()
    const tokens = ref<number[] | null>([1])
    const { shown, query } = asking(tokens)
    await settle()
    shown.value = false
    await settle()
    tokens.value = [1, 2]
    await settle()
    expect(engine.names()).toHaveLength(1)
    shown.value = true
    await settle()
    expect(query.data.value?.topIds.shape).toEqual([5, 2])
  })

  it('cancels when its component goes away', async () => {
    const { engine } = setUp()
    engine.held.add('lens.map')
    const { wrapper } = asking(ref([1]))
    await settle()
    wrapper.unmount()
    expect(engine.cancelled).toEqual([0])
  })

  it('waits for the input to stand still, and remembers what it was told', async () => {
    vi.useFakeTimers()
    const { engine } = setUp()
    const tokens = ref<number[] | null>([1])
    const { query } = asking(tokens, { delay: 50, remember: 4 })
    for (const next of [[1], [1, 2], [1, 2, 3]]) {
      tokens.value = next
      await vi.advanceTimersByTimeAsync(49)
    }
    expect(engine.names()).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    tokens.value = [4]
    await vi.advanceTimersByTimeAsync(50)
    tokens.value = [1, 2, 3]
    await vi.advanceTimersByTimeAsync(50)
    expect(engine.names()).toEqual(['lens.map', 'lens.map'])
    expect(query.data.value?.topIds.shape).toEqual([5, 3])
    expect(query.stale.value).toBe(false)
  })
})

describe('recent results', () => {
  it('forget the one that was not asked for longest', () => {
    const recent = new Recent<number>(2)
    recent.put('a', 1)
    recent.put('b', 2)
    recent.get('a')
    recent.put('c', 3)
    expect([recent.get('a'), recent.get('b'), recent.get('c')]).toEqual([1, undefined, 3])
  })
})
