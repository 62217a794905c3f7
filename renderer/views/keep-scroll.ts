/**
 * A view that is not shown is taken out of the document, and its lists forget how far they were scrolled, while their
 * virtualizers do not: coming back, they would show nothing. This brings them back to where they were.
 */
import { onActivated, onBeforeUnmount, watch, type ShallowRef } from 'vue'

/** @param element the scrolling element of a list in a view under KeepAlive */
export function useKeptScroll(element: Readonly<ShallowRef<HTMLElement | null>>): void {
  let left = 0
  let top = 0
  const remember = (event: Event) => {
    if (!(event.target instanceof HTMLElement)) return
    left = event.target.scrollLeft
    top = event.target.scrollTop
  }
  watch(
    element,
    (next, before) => {
      before?.removeEventListener('scroll', remember)
      next?.addEventListener('scroll', remember, { passive: true })
    },
    { immediate: true, flush: 'post' },
  )
  onActivated(() => {
    if (element.value !== null) {
      element.value.scrollLeft = left
      element.value.scrollTop = top
    }
  })
  onBeforeUnmount(() => element.value?.removeEventListener('scroll', remember))
}
