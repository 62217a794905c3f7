/** Parity certificates of the open model: what is known of its numbers, and checking them with progress and cancel. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import type { CallOutput } from '../../preload/api'
import type { CertificateProgress } from '../../preload/certificate'
import { asPatchbayError, type PatchbayError } from '../../preload/errors'
import type { ModelHandle } from '../../preload/model'
import { shellError } from '../../preload/shell'
import { saveFile } from '../exports/save'
import { services } from '../services'
import { useEngine } from './engine'
import { useJobs } from './jobs'
import { useModels } from './models'
import { useNotices } from './notices'

export const useCertificates = defineStore('certificates', () => {
  const engine = useEngine()
  const jobs = useJobs()
  const models = useModels()
  const notices = useNotices()
  const panelOpen = ref(false)
  const known = shallowRef<CallOutput<'certificate.get'> | null>(null)
  /** A check that runs now. */
  const making = shallowRef<CertificateProgress | null>(null)
  const error = shallowRef<PatchbayError | null>(null)
  let abort: AbortController | null = null

  /** Of the open model on its provider and precision; null where it was never checked, undefined until that is known. */
  const summary = computed(() => (known.value === null ? undefined : known.value.summary))

  async function refresh(): Promise<void> {
    const model = models.handle
    if (model === null || !engine.ready) return
    try {
      const found = await services().engine.call('certificate.get', { model })
      if (models.handle === model) known.value = found
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      // A restarted engine is asked again when it is back, a closed model not at all.
      if (problem.code !== 'engine.stopped' && problem.code !== 'model.not-open') error.value = problem
    }
  }

  /** Checks the open model against a reference, else against itself. A second call while one runs does nothing. */
  async function make(reference?: string): Promise<void> {
    const model = models.handle
    if (model === null || abort !== null) return
    const mine = (abort = new AbortController())
    const job = jobs.start('Parity check', () => mine.abort())
    error.value = null
    making.value = { done: 0, total: 1, what: '' }
    try {
      await services().engine.call(
        'certificate.make',
        { model, reference },
        {
          signal: mine.signal,
          onProgress: (progress) => {
            making.value = progress
            job.progress(progress.done / progress.total)
          },
        },
      )
      await Promise.all([refresh(), models.refreshLibrary()])
    } catch (thrown) {
      const problem = asPatchbayError(thrown)
      if (problem.code !== 'run.cancelled' && belongsTo(model)) error.value = problem
    } finally {
      job.end()
      making.value = null
      abort = null
    }
  }

  /** Asks for the folder of a reference and compares with it. */
  async function chooseReference(): Promise<void> {
    try {
      const folder = await services().shell.choosePath('reference-folder')
      if (folder !== null) await make(folder)
    } catch (thrown) {
      notices.report(shellError(thrown))
    }
  }

  /** Saves the Python program with which a person makes a reference for the open model. */
  async function saveProgram(): Promise<void> {
    const model = models.handle
    if (model === null) return
    try {
      const { name, text } = await services().engine.call('certificate.script', { model })
      await saveFile({
        suggestedName: name,
        bytes: new TextEncoder().encode(text),
        filters: [{ name: 'Python program', extensions: ['py'] }],
      })
    } catch (thrown) {
      notices.report(thrown)
    }
  }

  function cancel(): void {
    abort?.abort()
  }
  const belongsTo = (model: ModelHandle): boolean => models.handle === model

  watch(
    [() => models.handle, () => engine.ready, () => engine.connection],
    ([handle], [before]) => {
      if (handle !== before) {
        cancel()
        known.value = null
        error.value = null
      }
      void refresh()
    },
    { immediate: true },
  )

  return { panelOpen, known, summary, making, error, make, chooseReference, saveProgram, cancel }
})
