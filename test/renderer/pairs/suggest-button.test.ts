import { mount, type VueWrapper } from '@vue/test-utils'
import { TooltipProvider } from 'reka-ui'
import { h } from 'vue'
import { afterEach, describe, expect, it } from 'vitest'
import PromptBar from '../../../renderer/components/PromptBar.vue'
import { useNotices } from '../../../renderer/stores/notices'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useView } from '../../../renderer/stores/view'
import { violations } from '../support/accessible'
import { encodeByWords } from '../support/encode-by-words'
import { openSynthetic, settle } from '../support/mount-view'
import { syntheticEngine, type Answers } from '../support/synthetic-engine'

describe('the suggestion beside the corrupt prompt', () => {
  let bar: VueWrapper | null = null
  afterEach(() => {
    bar?.unmount()
    bar = null
  })
  async function open(answers: Answers = { 'prompt.encode': encodeByWords }): Promise<VueWrapper> {
    await openSynthetic(syntheticEngine(answers))
    useView().show('patch')
    bar = mount(
      { render: () => h(TooltipProvider, null, { default: () => h(PromptBar) }) },
      { attachTo: document.body },
    )
    await settle()
    return bar
  }
  const suggest = (view: VueWrapper) =>
    view.findAll('button').find((button) => button.text() === 'Suggest a corrupt prompt')

  it('is offered while there is none, writes it, and says what was changed', async () => {
    const view = await open()
    expect(await violations(view.element as Element)).toEqual([])
    await suggest(view)?.trigger('click')
    await settle()
    expect(usePrompt().drafts.B.text).toBe('When Mary and John went to the store , Mary gave a drink to')
    expect(usePrompt().slots.B.tokens).toHaveLength(usePrompt().slots.A.tokens?.length ?? 0)
    expect(useNotices().notices.map(({ message }) => message)).toContain('John became Mary at position 10.')
    expect(suggest(view)).toBeUndefined()
  })

  it('is not offered where two prompts are only compared', async () => {
    const view = await open()
    useView().show('compare')
    await settle()
    expect(suggest(view)).toBeUndefined()
  })

  it('says what to do where no word has a counterpart', async () => {
    // Tokens without their place in the text.
    const view = await open({})
    await suggest(view)?.trigger('click')
    await settle()
    expect(usePrompt().drafts.B.text).toBe('')
    expect(JSON.stringify(useNotices().notices)).toContain('Write the corrupt prompt yourself')
  })
})
