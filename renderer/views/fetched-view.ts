/** A view that is fetched when it is first shown: quiet while that takes long, and an error with a way on where it fails. */
import { defineAsyncComponent, defineComponent, h, ref, type Component } from 'vue'
import { useJobs } from '../stores/jobs'
import ViewFailed from './ViewFailed.vue'
import ViewLoading from './ViewLoading.vue'

/** Milliseconds; a view that is there sooner comes without anything before it. */
const QUIET = 150

export function fetchedView(load: () => Promise<{ default: Component }>): Component {
  return defineComponent({
    setup() {
      const tries = ref(0)
      const retry = (): void => void tries.value++
      const View = defineAsyncComponent({
        loader: async () => (await whileBusy(load)).default,
        delay: QUIET,
        loadingComponent: ViewLoading,
        errorComponent: (props: { error: Error }) => h(ViewFailed, { ...props, retry }),
      })
      return () => h(View, { key: tries.value })
    },
  })
}

/** As a job in the foreground, so that the window does not count as settled before the view is there. */
async function whileBusy<T>(load: () => Promise<T>): Promise<T> {
  // What is fetched cannot be cancelled.
  const job = useJobs().start('The view', () => undefined)
  try {
    return await load()
  } finally {
    job.end()
  }
}
