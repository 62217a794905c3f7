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

/** The sweeps over grids that were asked for; the metrics' own values are asked for with a single place. */
export const sweeps = (mounted: MountedView): CallArguments<'sweep.run'>[] =>
  asked(mounted, 'sweep.run').filter(({ target }) => target.kind === 'grid')

/** Chooses an option of a select, by the keyboard. */
export async function choose({ view }: MountedView, label: string, option: string): Promise<void> {
  await view.get(`[role="combobox"][aria-label="${label}"]`).trigger('keydown', { key: 'Enter' })
  await settle()
  const found = Array.from(document.querySelectorAll<HTMLElement>('[role="option"]')).find(
    ({ textContent }) => textContent?.trim().startsWith(option),
  )
  if (found === undefined) throw new Error(`no option ${option}`)
  found.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
  await settle(16)
}

/** Writes into a text field, and submits its form where it has one. */
export async function writeInto({ view }: MountedView, label: string, text: string): Promise<void> {
  const field = view.get(`[aria-label="${label}"]`)
  await field.setValue(text)
  const form = field.element.closest('form')
  if (form !== null) form.dispatchEvent(new Event('submit', { cancelable: true }))
  await settle(16)
}
