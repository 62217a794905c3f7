/** The whole window on a fake engine, mounted as in the app. */
import { flushPromises, mount } from '@vue/test-utils'
import type { VueWrapper } from '@vue/test-utils'
import { expect, vi } from 'vitest'
import { nextTick } from 'vue'
import App from '../../../renderer/App.vue'
import { setUp } from './setup'

let wrapper: VueWrapper | null = null

/** Opens the window; what it asks the engine for is answered when this returns, unless it is held. */
export async function launch(prepare: (world: ReturnType<typeof setUp>) => void = () => undefined) {
  const world = setUp()
  Object.defineProperty(window, 'innerWidth', { value: 1280, configurable: true })
  prepare(world)
  wrapper = mount(App, { global: { plugins: [world.pinia] }, attachTo: document.body })
  await settle()
  return world
}

export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await flushPromises()
    await nextTick()
  }
}

/** Waits for what takes frames or pauses. */
export const until = (condition: () => void): Promise<void> =>
  vi.waitFor(condition, { timeout: 10_000, interval: 20 })

/** The button whose label or text begins so. */
export const button = (name: string): HTMLButtonElement =>
  [...document.querySelectorAll<HTMLButtonElement>('button')].find((element) =>
    (element.getAttribute('aria-label') ?? element.textContent).trim().startsWith(name),
  ) ?? expect.fail(`there is no button ${name}`)

export function close(): void {
  wrapper?.unmount()
  wrapper = null
  document.body.innerHTML = ''
}
