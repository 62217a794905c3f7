/** One list of everything that keys, menus and buttons can do: id, title, key, when, run. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import { useNotices } from '../stores/notices'

export interface Command {
  /** `area.action` */
  id: string
  title: string
  /** As `KeyboardEvent.key`, with `Ctrl+` and `Shift+` in front where needed: "1", "?", "Ctrl+o". */
  key?: string
  /** Runs also while typing in a field. */
  whileTyping?: boolean
  /** Whether it makes sense now; without it, always. */
  when?: () => boolean
  run: () => void | Promise<void>
}

/** How a key event is spelled in `Command.key`. Ctrl and Meta are one; Shift counts only beside named keys and Ctrl. */
export function keyOf(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey'>): string {
  const control = event.ctrlKey || event.metaKey
  const key = event.key.length === 1 && control ? event.key.toLowerCase() : event.key
  const shift = event.shiftKey && (control || event.key.length > 1)
  return `${control ? 'Ctrl+' : ''}${shift ? 'Shift+' : ''}${key}`
}

/** A field that takes letters: there, plain keys belong to the text. */
export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))

export const useCommands = defineStore('commands', () => {
  const commands = shallowRef<readonly Command[]>([])
  const withKeys = computed(() => commands.value.filter((command) => command.key !== undefined))

  /** Adds commands; the returned function takes them away again. An id that is there already is a defect. */
  function register(more: readonly Command[]): () => void {
    for (const { id } of more)
      if (commands.value.some((command) => command.id === id))
        throw new Error(`Command ${id} is registered twice`)
    commands.value = [...commands.value, ...more]
    return () => (commands.value = commands.value.filter((command) => !more.includes(command)))
  }

  async function start(command: Command): Promise<void> {
    try {
      await command.run()
    } catch (thrown) {
      useNotices().report(thrown)
    }
  }
  /** Runs a command by id. @returns whether there is one and it makes sense now */
  function run(id: string): boolean {
    const command = commands.value.find((candidate) => candidate.id === id)
    if (command === undefined || !(command.when?.() ?? true)) return false
    void start(command)
    return true
  }
  /** For the window's keydown: runs what the key means, unless the key belongs to a text field or was used already. */
  function onKeydown(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.altKey || event.isComposing) return
    const key = keyOf(event)
    const typing = isTyping(event.target)
    const command = commands.value.find(
      (candidate) =>
        candidate.key === key && (!typing || candidate.whileTyping === true) && (candidate.when?.() ?? true),
    )
    if (command === undefined) return
    event.preventDefault()
    void start(command)
  }

  return { commands, withKeys, register, run, onKeydown }
})
