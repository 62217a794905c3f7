/** Which panel's pictures a key means: those of the panel that has the focus. */
import { onBeforeUnmount, onMounted, type Ref } from 'vue'
import type { ExportAction } from '../stores/inspector'

const panels = new Map<Element, () => readonly ExportAction[]>()

/** Makes what a panel exports known for as long as it is mounted. */
export function useExportsOf(
  panel: Readonly<Ref<HTMLElement | null>>,
  exports: () => readonly ExportAction[],
): void {
  let known: HTMLElement | null = null
  onMounted(() => {
    known = panel.value
    if (known !== null) panels.set(known, exports)
  })
  onBeforeUnmount(() => {
    if (known !== null) panels.delete(known)
  })
}

/** What the panel around the focused element exports; none where the focus is elsewhere. */
export function focusedExports(): readonly ExportAction[] {
  for (let at = document.activeElement; at !== null; at = at.parentElement) {
    const exports = panels.get(at)
    if (exports !== undefined) return exports()
  }
  return []
}
