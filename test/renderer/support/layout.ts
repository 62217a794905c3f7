/** happy-dom lays nothing out: gives the frames of virtual lists a size, so that they show their first rows. */
import { afterAll, beforeAll, vi } from 'vitest'

/** Charts keep no size: they would need a canvas, which happy-dom has not. */
const frames = '.scroller, .strip'

export function withLayout(width = 900, height = 900): void {
  beforeAll(() => {
    vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockImplementation(function (this: HTMLElement) {
      return this.matches(frames) ? width : 0
    })
    vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockImplementation(function (this: HTMLElement) {
      return this.matches(frames) ? height : 0
    })
  })
  afterAll(() => {
    vi.restoreAllMocks()
  })
}
