/**
 * A view that is not shown is taken out of the document, and whatever was scrolled in it forgets how far, while its
 * virtual lists do not: coming back, they would show nothing. This brings everything in the frame back to where it was.
 */
import { nextTick, onBeforeUnmount, watch, type ShallowRef } from 'vue'

interface Place {
  left: number
  top: number
}

/**
 * @param frame what the views are shown in; it scrolls itself, too, and has a place of its own in each view
 * @param view which view is shown
 */
export function useKeptScroll(frame: Readonly<ShallowRef<HTMLElement | null>>, view: () => string): void {
  const places = new Map<string, Map<HTMLElement, Place>>()
  const remember = (event: Event) => {
    const { target } = event
    if (!(target instanceof HTMLElement)) return
    const here = places.get(view()) ?? new Map<HTMLElement, Place>()
    places.set(view(), here.set(target, { left: target.scrollLeft, top: target.scrollTop }))
  }
  // Scrolling does not bubble, but it is captured on the way down.
  watch(
    frame,
    (next, before) => {
      before?.removeEventListener('scroll', remember, true)
      next?.addEventListener('scroll', remember, { capture: true, passive: true })
    },
    { immediate: true, flush: 'post' },
  )
  watch(view, async (next) => {
    await nextTick()
    const here = places.get(next)
    if (frame.value !== null && here?.has(frame.value) !== true) frame.value.scrollTo(0, 0)
    for (const [element, { left, top }] of here ?? []) {
      if (element.isConnected) element.scrollTo(left, top)
      else here?.delete(element)
    }
  })
  onBeforeUnmount(() => frame.value?.removeEventListener('scroll', remember, true))
}
