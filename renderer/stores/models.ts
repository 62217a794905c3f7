/** The open model, the library of remembered ones, and the opening of another with progress and cancel. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { LoadProgress } from '../../preload/api'
import type { PatchbayError } from '../../preload/errors'
import { asPatchbayError } from '../../preload/errors'
import type { LibraryEntry, ModelDescription, ModelLocation, ModelSourceInput } from '../../preload/model'
import type { Precision, ProviderChoice } from '../../preload/run'
import { services } from '../services'
import { useNotices } from './notices'
import { precisionFor, rememberPrecision } from './precision-memory'

/** A model that is being opened. */
export interface Opening {
  name: string
  source: ModelSourceInput
  progress: LoadProgress | null
}

/** A model's folder in the hub's cache: `…/models--owner--name/snapshots/<commit>`. */
const snapshot = /[\\/]models--([^\\/]+)[\\/]snapshots[\\/][0-9a-f]{40}[\\/]?$/

/** What a person calls a model's location: its name on the hub, else its file or folder name. */
export function locationName(location: ModelLocation): string {
  if (location.kind === 'embedded') return 'storyworld'
  const onHub = snapshot.exec(location.path)
  if (onHub !== null) return onHub[1].split('--').join('/')
  return location.path.split(/[\\/]/).findLast((part) => part !== '') ?? location.path
}

export const useModels = defineStore('models', () => {
  const current = shallowRef<ModelDescription | null>(null)
  const opening = shallowRef<Opening | null>(null)
  /** Why the last opening failed; the model that was open before stays open. */
  const failure = shallowRef<{ source: ModelSourceInput; error: PatchbayError } | null>(null)
  const library = shallowRef<readonly LibraryEntry[]>([])
  const provider = ref<ProviderChoice>('auto')
  let abort: AbortController | null = null

  const handle = computed(() => current.value?.handle ?? null)

  async function refreshLibrary(): Promise<void> {
    library.value = await services().engine.call('library.list', {})
  }

  /**
   * Opens a model and closes the one before. A second call while one is under way replaces it.
   * @returns whether the model is open now; if not, `failure` says why, unless it was cancelled
   */
  async function open(source: ModelSourceInput): Promise<boolean> {
    abort?.abort()
    const mine = (abort = new AbortController())
    failure.value = null
    opening.value = { name: locationName(source.location), source, progress: null }
    try {
      const model = await services().engine.call('model.open', source, {
        signal: mine.signal,
        onProgress: (progress) => {
          if (abort === mine && opening.value !== null) opening.value = { ...opening.value, progress }
        },
      })
      if (abort !== mine) return false
      const before = current.value
      current.value = model
      provider.value = source.provider ?? 'auto'
      await tidy(before !== null && before.handle !== model.handle ? before.handle : null)
      return true
    } catch (thrown) {
      const error = asPatchbayError(thrown)
      if (abort === mine && error.code !== 'run.cancelled') failure.value = { source, error }
      return false
    } finally {
      if (abort === mine) {
        opening.value = null
        abort = null
      }
    }
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

  /** Opens what lies there as it was computed last. */
  const openAt = (location: ModelLocation): Promise<boolean> =>
    open({ location, provider: provider.value, precision: precisionFor(location) })
  const openPath = (path: string): Promise<boolean> => openAt({ kind: 'path', path })
  /** Opens the present model again on another provider. */
  async function chooseProvider(choice: ProviderChoice): Promise<void> {
    const model = current.value
    if (model === null) provider.value = choice
    else await open({ ...model.source, provider: choice })
  }
  /** Opens the present model again in another precision, and remembers that for this model. */
  async function choosePrecision(precision: Precision): Promise<void> {
    const model = current.value
    if (model === null) return
    if (await open({ ...model.source, precision })) rememberPrecision(model.source.location, precision)
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
    chooseProvider,
    choosePrecision,
    cancelOpening,
    restore,
    forget,
  }
})
