/**
 * What happens without being asked for: the embedded model (or the one named at the start) is opened and its prompt
 * analysed; after an engine restart the model is looked up again; a prompt is encoded when the model changes; the
 * selection follows.
 */
import { onScopeDispose, watch } from 'vue'
import { asPatchbayError } from '../preload/errors'
import type { ModelSourceInput } from '../preload/model'
import { services } from './services'
import { useEngine } from './stores/engine'
import { useInspector } from './stores/inspector'
import { useModels } from './stores/models'
import { useNotices } from './stores/notices'
import { usePrompt } from './stores/prompt'
import { useSelection } from './stores/selection'
import { useView } from './stores/view'

/** How often the engine is asked for its memory while the window is looked at, in milliseconds. */
const statusEvery = 4000

const embedded: ModelSourceInput = { location: { kind: 'embedded' } }

/** Watches the stores for as long as the app lives. */
export function startUp(): void {
  const engine = useEngine()
  const models = useModels()
  const prompt = usePrompt()
  const selection = useSelection()
  const notices = useNotices()

  async function openFirst(): Promise<void> {
    const { modelPath, notice } = services().shell.launch()
    if (notice !== undefined) notices.warn(notice)
    // Named at the start, it is opened at once: nobody may be there to say yes.
    if (modelPath !== undefined && (await models.openAt({ kind: 'path', path: modelPath }))) return
    await models.open(embedded)
  }

  watch(
    () => (engine.ready ? engine.connection : null),
    async (connection) => {
      if (connection === null) return
      try {
        if (models.current === null) await openFirst()
        else await models.restore()
        if (prompt.slots.A.dirty) await prompt.encode('A')
        await Promise.all([engine.refreshStatus(), models.refreshLibrary()])
      } catch (thrown) {
        // Stopped meanwhile: all this happens again when the engine is back.
        if (asPatchbayError(thrown).code !== 'engine.stopped') notices.report(thrown)
      }
    },
    { immediate: true },
  )

  watch(
    () => models.failure,
    (failure) => {
      if (failure !== null) notices.report(failure.error)
    },
  )
  watch(
    () => models.handle,
    async (handle) => {
      const model = models.current
      if (handle === null || model === null) return
      for (const warning of model.warnings) notices.warn(warning)
      selection.reset({ layers: model.layers, heads: model.heads, positions: 1 })
      await prompt.encodeAll()
      await engine.refreshStatus().catch((thrown: unknown) => notices.report(thrown))
    },
  )
  watch(
    () => prompt.slots.A.tokens,
    (tokens) => {
      if (tokens !== null) selection.resize(tokens.length)
    },
  )

  const view = useView()
  const inspector = useInspector()
  watch(() => view.current, inspector.follow, { immediate: true })
  watch(
    () => view.theme,
    (theme) => (document.documentElement.dataset['theme'] = theme),
    { immediate: true },
  )

  let asking = false
  async function look(): Promise<void> {
    if (asking || !engine.ready || document.hidden) return
    asking = true
    try {
      await engine.refreshStatus()
    } catch (thrown) {
      // An engine that stops meanwhile is announced by its state.
      if (asPatchbayError(thrown).code !== 'engine.stopped') notices.report(thrown)
    } finally {
      asking = false
    }
  }
  const clock = setInterval(() => void look(), statusEvery)
  onScopeDispose(() => clearInterval(clock))
}
