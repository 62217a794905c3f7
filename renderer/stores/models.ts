/** The open model, the library of remembered ones, and the opening of another with progress and cancel. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { LoadProgress } from '../../preload/api'
import type { PatchbayError } from '../../preload/errors'
import { asPatchbayError } from '../../preload/errors'
import type { LibraryEntry, ModelDescription, ModelLocation, ModelSourceInput } from '../../preload/model'
import type { Precision, ProviderChoice } from '../../preload/run'
import type { OnnxReport } from '../../preload/onnx-report'
import { services } from '../services'
import { choiceFor, rememberChoice, type Choice } from './choice-memory'
import { useNotices } from './notices'
import { useOnnxReport } from './onnx-report'
import { useMemoryQuestion } from './memory-question'

/** A model that is being opened. */
export interface Opening {
  name: string
  source: ModelSourceInput
  progress: LoadProgress | null
}

/** A model's folder in the hub's cache: `…/models--owner--name/snapshots/<commit>`. */
const snapshot = /[\\/]models--([^\\/]+)[\\/]snapshots[\\/][0-9a-f]{40}[\\/]?$/

/** Files that are no graphs, whatever is in them. */
const isWeights = /\.(safetensors|gguf)$/i

/** What a person calls a model's location: its name on the hub, else its file or folder name. */
export function locationName(location: ModelLocation): string {
  if (location.kind === 'embedded') return 'storyworld'
  const onHub = snapshot.exec(location.path)
  if (onHub !== null) return onHub[1].split('--').join('/')
  const parts = location.path.split(/[\\/]/).filter((part) => part !== '')
  // So is nearly every export called; its folder tells them apart.
  return parts.slice(parts.at(-1) === 'model.onnx' ? -2 : -1).join('/') || location.path
}

export const useModels = defineStore('models', () => {
  const current = shallowRef<ModelDescription | null>(null)
  const opening = shallowRef<Opening | null>(null)
  /** Why the last opening failed; the model that was open before stays open. */
  const failure = shallowRef<{ source: ModelSourceInput; error: PatchbayError } | null>(null)
  const library = shallowRef<readonly LibraryEntry[]>([])
  const provider = ref<ProviderChoice>('auto')
  let abort: AbortController | null = null
  /** Paths that a person has pointed at: the latest counts. */
  let choices = 0

  const handle = computed(() => current.value?.handle ?? null)

  async function refreshLibrary(): Promise<void> {
    library.value = await services().engine.call('library.list', {})
  }

  /**
   * A step of opening a model, which can be cancelled; the next one replaces it.
   * @returns undefined where it came to nothing: `failure` says why, unless it was cancelled or replaced
   */
  async function attempt<T>(
    source: ModelSourceInput,
    step: (signal: AbortSignal, isCurrent: () => boolean) => Promise<T>,
  ): Promise<T | undefined> {
    abort?.abort()
    const mine = (abort = new AbortController())
    const isCurrent = () => abort === mine
    failure.value = null
    opening.value = { name: locationName(source.location), source, progress: null }
    try {
      const done = await step(mine.signal, isCurrent)
      return isCurrent() ? done : undefined
    } catch (thrown) {
      const error = asPatchbayError(thrown)
      if (isCurrent() && error.code !== 'run.cancelled') failure.value = { source, error }
      return undefined
    } finally {
      if (isCurrent()) {
        opening.value = null
        abort = null
      }
    }
  }

  /**
   * Opens a model and closes the one before. A second call while one is under way replaces it.
   * @returns whether the model is open now; if not, `failure` says why, unless it was cancelled
   */
  async function open(source: ModelSourceInput): Promise<boolean> {
    const opened = await attempt(source, async (signal, isCurrent) => {
      const model = await services().engine.call('model.open', source, {
        signal,
        onProgress: (progress) => {
          if (isCurrent() && opening.value !== null) opening.value = { ...opening.value, progress }
        },
      })
      if (!isCurrent()) return
      const before = current.value
      current.value = model
      provider.value = source.provider ?? 'auto'
      await tidy(before !== null && before.handle !== model.handle ? before.handle : null)
      return true
    })
    return opened ?? false
  }

  /** After an opening: the one before is closed and the library read again. What fails here does not undo the opening. */
  async function tidy(closing: string | null): Promise<void> {
    try {
      if (closing !== null) await services().engine.call('model.close', { model: closing })
      await refreshLibrary()
    } catch (thrown) {
      useNotices().report(thrown)
    }
  }

  /** Opens what lies there as it was opened last; where it will not fit into memory so, asks before. */
  async function openAt(location: ModelLocation): Promise<boolean> {
    const source = { location, provider: provider.value, ...choiceFor(location) }
    if (location.kind === 'embedded') return open(source)
    const fitting = await fit(source, locationName(location))
    return fitting !== null && open(fitting)
  }
  /** The source itself if it fits into memory, else what the person chooses instead; null where it comes to nothing. */
  async function fit<S extends ModelSourceInput & Choice>(source: S, name: string): Promise<S | null> {
    const forecast = await attempt(source, (signal) =>
      services().engine.call('model.forecast', source, { signal }),
    )
    if (forecast === undefined) return null
    if (forecast === null || forecast.fits) return source
    const { precision, memoryBudget } = source
    const chosen = await useMemoryQuestion().ask({ name, asked: { precision, memoryBudget }, forecast })
    if (chosen === null) return null
    rememberChoice(source.location, chosen)
    return { ...source, precision: chosen.precision, memoryBudget: chosen.memoryBudget }
  }
  /** Opens what a person points at. A graph that somebody else exported is shown first, and opened if they say so. */
  async function openPath(path: string): Promise<boolean> {
    const location: ModelLocation = { kind: 'path', path }
    const mine = ++choices
    useOnnxReport().close(false)
    try {
      const report = isWeights.test(path) ? null : await inspect(path)
      if (mine !== choices) return false
      if (report !== null && !(await useOnnxReport().ask(locationName(location), report))) return false
    } catch (thrown) {
      if (mine === choices) failure.value = { source: { location }, error: asPatchbayError(thrown) }
      return false
    }
    return openAt(location)
  }
  /** What was recognised in the graph at a path; null for another kind of model. What is opened meanwhile goes on. */
  const inspect = (path: string): Promise<OnnxReport | null> =>
    services().engine.call('model.inspect', { path })
  /** Shows again what was recognised in the present model. */
  async function showReport(): Promise<void> {
    const model = current.value
    if (model?.source.location.kind !== 'path') return
    const report = await inspect(model.source.location.path)
    if (report !== null) useOnnxReport().show(model.name, report)
  }
  /** Opens the present model again on another provider. */
  async function chooseProvider(choice: ProviderChoice): Promise<void> {
    const model = current.value
    if (model === null) provider.value = choice
    else await open({ ...model.source, provider: choice })
  }
  /** Opens the present model again in another precision, and remembers that for this model. */
  const choosePrecision = (precision: Precision): Promise<void> => reopen({ precision })
  /** Opens it again within other memory (bytes; null for all that it needs), and remembers that likewise. */
  const chooseBudget = (memoryBudget: number | null): Promise<void> => reopen({ memoryBudget })
  async function reopen(change: Partial<Choice>): Promise<void> {
    const model = current.value
    if (model === null) return
    const source = { ...model.source, ...change }
    if (await open(source)) rememberChoice(source.location, source)
  }
  function cancelOpening(): void {
    abort?.abort()
  }

  /**
   * After the engine restarted: it opens its models again by itself and a handle means the same as before; where it
   * does not know the model, it is opened anew.
   */
  async function restore(): Promise<void> {
    const model = current.value
    if (model === null) return
    try {
      current.value = await services().engine.call('model.describe', { model: model.handle })
    } catch (thrown) {
      const error = asPatchbayError(thrown)
      if (error.code !== 'model.not-open') throw error
      await open(model.source)
    }
  }

  async function forget(id: string): Promise<void> {
    await services().engine.call('library.forget', { id })
    await refreshLibrary()
  }

  return {
    current,
    handle,
    opening,
    failure,
    library,
    provider,
    refreshLibrary,
    open,
    openAt,
    openPath,
    showReport,
    chooseProvider,
    choosePrecision,
    chooseBudget,
    cancelOpening,
    restore,
    forget,
  }
})
