/** The patch view mounted with a pair of prompts, closed after each test; what tests of it ask for. */
import { afterEach } from 'vitest'
import type { DOMWrapper } from '@vue/test-utils'
import type { CallArguments, CallName } from '../../../preload/api'
import { useInspector } from '../../../renderer/stores/inspector'
import { usePrompt } from '../../../renderer/stores/prompt'
import PatchView from '../../../renderer/views/patch/PatchView.vue'
import { mountView, settle, type MountedView } from './mount-view'
import { syntheticEngine, type Answers } from './synthetic-engine'

export const secondPrompt = 'When Mary and John went to the store , Mary gave a drink to'

/** For one `describe`. `open` takes answers of the engine, and the corrupt prompt: none where it is empty. */
export function patchView(): { open: (answers?: Answers, corrupt?: string) => Promise<MountedView> } {
  let mounted: MountedView | null = null
  afterEach(() => {
    mounted?.view.unmount()
    mounted = null
  })
  return {
    async open(answers = {}, corrupt = secondPrompt) {
      mounted = await mountView(PatchView, syntheticEngine(answers))
      useInspector().follow('patch')
      usePrompt().drafts.B.text = corrupt
      if (corrupt === '') usePrompt().slots.B.tokens = null
      else await usePrompt().encode('B')
      await settle(16)
      return mounted
    },
  }
}

/** The button whose text begins so. */
export function button({ view }: MountedView, text: string): DOMWrapper<HTMLButtonElement> {
  const found = view.findAll('button').find((candidate) => candidate.text().startsWith(text))
  if (found === undefined) throw new Error(`no button ${text}`)
  return found
}

/** What a call was asked with, each time. */
export const asked = <N extends CallName>({ engine }: MountedView, name: N): CallArguments<N>[] =>
  engine.made.filter((call) => call.name === name).map(({ input }) => input as CallArguments<N>)
