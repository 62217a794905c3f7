/**
 * Prompts as they are written, and as the model gets them. Slot A is the prompt of the bar; slot B the second one of a
 * comparison. A change is encoded after a pause in typing; an encoding under way for an older text is cancelled.
 */
import { defineStore } from 'pinia'
import { computed, reactive, shallowReactive } from 'vue'
import type { PatchbayError } from '../../preload/errors'
import { asPatchbayError } from '../../preload/errors'
import type { BosPolicy, ChatMessage, EncodedPrompt, PromptSpec } from '../../preload/prompt'
import { services } from '../services'
import { useModels } from './models'

export type SlotName = 'A' | 'B'

/** What a person writes; both kinds are kept, so that switching between them loses nothing. */
export interface Draft {
  kind: 'text' | 'chat'
  text: string
  bos: BosPolicy
  messages: ChatMessage[]
  addGenerationPrompt: boolean
}

export interface Slot {
  encoded: EncodedPrompt | null
  /** Token ids of `encoded`; what the views ask about. Null while nothing valid is encoded. */
  tokens: number[] | null
  error: PatchbayError | null
  /** Written but not yet encoded. */
  dirty: boolean
  encoding: boolean
}

export const firstPrompt = 'When Mary and John went to the store, John gave a drink to'
/** The same with the second giver's name changed: what Compare shows before anything is typed. */
export const secondPrompt = 'When Mary and John went to the store, Mary gave a drink to'
/** Pause in typing after which the prompt is encoded and run, in milliseconds. */
export const pause = 350

const emptyDraft = (text: string): Draft => ({
  kind: 'text',
  text,
  bos: 'model',
  messages: [{ role: 'user', content: '' }],
  addGenerationPrompt: true,
})
const emptySlot = (): Slot => ({ encoded: null, tokens: null, error: null, dirty: true, encoding: false })

/** The prompt as the contract takes it. */
export const specOf = (draft: Draft): PromptSpec =>
  draft.kind === 'text'
    ? { kind: 'text', text: draft.text, bos: draft.bos }
    : {
        kind: 'chat',
        messages: draft.messages.map(({ role, content }) => ({ role, content })),
        addGenerationPrompt: draft.addGenerationPrompt,
      }

export const usePrompt = defineStore('prompt', () => {
  const models = useModels()
  const drafts = reactive<Record<SlotName, Draft>>({
    A: emptyDraft(firstPrompt),
    B: emptyDraft(secondPrompt),
  })
  const slots: Record<SlotName, Slot> = { A: shallowReactive(emptySlot()), B: shallowReactive(emptySlot()) }
  const timers: Record<SlotName, ReturnType<typeof setTimeout> | undefined> = { A: undefined, B: undefined }
  const aborts: Record<SlotName, AbortController | null> = { A: null, B: null }

  /** Everything written is encoded (or refused): nothing is under way. */
  const settled = computed(() => !slots.A.dirty && !slots.A.encoding)

  /** Encodes a slot now. Errors land in the slot, beside the text that caused them. */
  async function encode(name: SlotName): Promise<void> {
    clearTimeout(timers[name])
    aborts[name]?.abort()
    const slot = slots[name]
    const model = models.handle
    if (model === null) return
    const mine = (aborts[name] = new AbortController())
    slot.encoding = true
    slot.dirty = false
    try {
      const encoded = await services().engine.call(
        'prompt.encode',
        { model, prompt: specOf(drafts[name]) },
        { signal: mine.signal },
      )
      if (aborts[name] !== mine) return
      const ids = encoded.tokens.map((token) => token.id)
      const same = slot.tokens?.length === ids.length && ids.every((id, i) => id === slot.tokens?.[i])
      // The ids first: whoever sees the new text can then see, too, that pictures of the old ids are stale.
      if (!same) slot.tokens = ids
      slot.encoded = encoded
      slot.error = null
    } catch (thrown) {
      const error = asPatchbayError(thrown)
      if (aborts[name] !== mine) return
      if (error.code === 'engine.stopped') slot.dirty = true
      else fail(slot, error)
    } finally {
      if (aborts[name] === mine) {
        slot.encoding = false
        aborts[name] = null
      }
    }
  }

  function fail(slot: Slot, error: PatchbayError): void {
    slot.error = error
    slot.encoded = null
    slot.tokens = null
  }

  /** Called on every keystroke: encodes after the pause. */
  function touch(name: SlotName): void {
    slots[name].dirty = true
    clearTimeout(timers[name])
    timers[name] = setTimeout(() => void encode(name), pause)
  }
  function setText(name: SlotName, text: string): void {
    drafts[name].kind = 'text'
    drafts[name].text = text
    touch(name)
  }
  /** Writes a whole prompt and encodes it at once. */
  function write(name: SlotName, spec: PromptSpec): void {
    Object.assign(drafts[name], spec)
    void encode(name)
  }
  /** Another model: its token ids mean something else, so nothing old is kept. */
  async function encodeAll(): Promise<void> {
    for (const slot of [slots.A, slots.B]) Object.assign(slot, emptySlot())
    if (!(models.current?.hasChatTemplate ?? false))
      for (const draft of [drafts.A, drafts.B]) draft.kind = 'text'
    await Promise.all([
      encode('A'),
      drafts.B.text === '' && drafts.B.kind === 'text' ? undefined : encode('B'),
    ])
  }

  return { drafts, slots, settled, encode, touch, setText, write, encodeAll }
})
