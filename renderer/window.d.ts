/** What the preload script puts into the page. */
import type { ShellBridge } from '../preload/shell'

declare global {
  interface Window {
    readonly patchbay: ShellBridge
  }
}
