/** The presets on disk, as the steer view lists them, and what can be done with them. */
import { computed, ref, shallowRef, watch, type ComputedRef, type Ref, type ShallowRef } from 'vue'
import type { CallOutput, PresetEntry } from '../../../preload/api'
import type { PatchbayError } from '../../../preload/errors'
import { asPatchbayError } from '../../../preload/errors'
import type { Preset } from '../../../preload/preset'
import { shellError } from '../../../preload/shell'
import { saveFile } from '../../exports/save'
import { services } from '../../services'
import { useJobs } from '../../stores/jobs'
import { useModels } from '../../stores/models'
import { useNotices } from '../../stores/notices'
import { usePresetChoice } from '../../stores/preset-choice'
import { misfit } from './preset-words'

export type BrokenPreset = CallOutput<'preset.list'>['broken'][number]

export interface PresetLibrary {
  presets: Readonly<ShallowRef<readonly PresetEntry[]>>
  broken: Readonly<ShallowRef<readonly BrokenPreset[]>>
  loaded: Readonly<Ref<boolean>>
  error: Readonly<ShallowRef<PatchbayError | null>>
  /** The chosen preset; at first one that fits the open model. */
  chosen: ComputedRef<PresetEntry | null>
  choose: (id: string) => void
  refresh: () => Promise<void>
  save: (preset: Preset) => Promise<void>
  /** A preset of one's own with another's vectors, and the edits made to it. */
  saveCopy: (id: string, edits: Preset) => Promise<void>
  remove: (id: string) => Promise<void>
  exportFile: (id: string) => Promise<void>
  importFile: () => Promise<void>
  /** Takes a new preset into the list and chooses it. */
  adopt: (entry: PresetEntry) => Promise<void>
}

/** A preset file holds vectors of d_model floats; this is far above any of them. */
const mostBytes = 256 * 2 ** 20

export function usePresetLibrary(): PresetLibrary {
  const models = useModels()
  const notices = useNotices()
  const jobs = useJobs()
  const presets = shallowRef<readonly PresetEntry[]>([])
  const broken = shallowRef<readonly BrokenPreset[]>([])
  const loaded = ref(false)
  const error = shallowRef<PatchbayError | null>(null)
  const chosenId = ref<string | null>(null)

  const chosen = computed(() => {
    const all = presets.value
    const model = models.current
    return (
      all.find(({ preset }) => preset.id === chosenId.value) ??
      all.find(({ preset }) => model !== null && misfit(preset, model) === null) ??
      null
    )
  })
  function choose(id: string): void {
    chosenId.value = id
  }

  async function refresh(): Promise<void> {
    error.value = null
    const job = jobs.start('Presets', () => undefined)
    try {
      const list = await services().engine.call('preset.list', {})
      presets.value = list.presets
      broken.value = list.broken
      loaded.value = true
    } catch (thrown) {
      error.value = asPatchbayError(thrown)
    } finally {
      job.end()
    }
  }
  async function adopt(entry: PresetEntry): Promise<void> {
    await refresh()
    choose(entry.preset.id)
  }
  // A preset that another view made.
  const handed = usePresetChoice()
  watch(
    () => handed.wanted,
    (id) => {
      if (id === null) return
      choose(id)
      handed.wanted = null
      if (loaded.value) void refresh()
    },
    { immediate: true },
  )
  async function save(preset: Preset): Promise<void> {
    await adopt(await services().engine.call('preset.save', { preset }))
    notices.done(`Saved “${preset.name}”.`)
  }
  async function saveCopy(id: string, edits: Preset): Promise<void> {
    // Through the file that travels: the engine then stores the vectors under the copy, too, and finds a free id.
    const { engine } = services()
    const { bytes } = await engine.call('preset.export', { id })
    const copy = await engine.call('preset.import', { bytes })
    await save({ ...edits, id: copy.preset.id, created: copy.preset.created })
  }
  async function remove(id: string): Promise<void> {
    await services().engine.call('preset.delete', { id })
    if (chosenId.value === id) chosenId.value = null
    await refresh()
  }
  async function exportFile(id: string): Promise<void> {
    const { name, bytes } = await services().engine.call('preset.export', { id })
    await saveFile({
      suggestedName: name,
      bytes,
      filters: [{ name: 'Patchbay preset', extensions: ['safetensors'] }],
    })
  }
  async function importFile(): Promise<void> {
    const file = await services()
      .shell.openFile({
        filters: [{ name: 'Patchbay preset', extensions: ['safetensors'] }],
        maxBytes: mostBytes,
      })
      .catch((thrown: unknown) => {
        throw shellError(thrown)
      })
    if (file === null) return
    const entry = await services().engine.call('preset.import', { bytes: file.bytes })
    await adopt(entry)
    notices.done(`Imported “${entry.preset.name}”.`)
  }

  return {
    presets,
    broken,
    loaded,
    error,
    chosen,
    choose,
    refresh,
    save,
    saveCopy,
    remove,
    exportFile,
    importFile,
    adopt,
  }
}
