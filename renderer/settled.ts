/** Tells the shell when the current view stands still: data loaded, charts drawn. Screenshots and tests wait for it. */
import { computed, nextTick, onScopeDispose, watch } from 'vue'
import { services } from './services'
import { useEngine } from './stores/engine'
import { useJobs } from './stores/jobs'
import { useModels } from './stores/models'
import { useNotices } from './stores/notices'
import { usePrompt } from './stores/prompt'
import { useView } from './stores/view'

/** Two frames: one in which charts lay themselves out, one in which they paint. A hidden window gets no frames. */
const painted = (): Promise<void> =>
  new Promise((resolve) => {
    const late = setTimeout(resolve, 300)
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        clearTimeout(late)
        resolve()
      }),
    )
  })

export function reportSettled(): void {
  const engine = useEngine()
  const jobs = useJobs()
  const models = useModels()
  const prompt = usePrompt()
  const view = useView()

  /** No model, and none on its way. */
  const failed = () => models.failure !== null
  const idle = computed(
    () =>
      !jobs.busy &&
      models.opening === null &&
      (engine.state.status === 'stopped' ||
        (engine.ready && (models.current === null ? failed() : prompt.settled))),
  )
  let turn = 0
  async function settle(): Promise<void> {
    const mine = ++turn
    // Twice: what a first painting asks for (a chart that measured itself, a query it started) must have ended, too.
    for (let i = 0; i < 2; i++) {
      await nextTick()
      await painted()
      if (mine !== turn || !idle.value) return
    }
    await services().shell.reportViewSettled(view.current, view.theme)
  }
  onScopeDispose(() => turn++)
  watch(
    [idle, () => view.current, () => view.theme, () => prompt.slots.A.tokens],
    () => {
      turn++
      if (idle.value) settle().catch((thrown: unknown) => useNotices().report(thrown))
    },
    { flush: 'post', immediate: true },
  )
}
