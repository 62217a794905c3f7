/**
 * What the window may not do, whatever a prompt, a model file or a defect puts into it: no permissions, no navigation, no
 * further windows, no network, no downloads.
 */
import type { App, Session, WebFrameMain } from 'electron'
import { appOrigin } from '../../preload/shell'

const isOurs = (url: string): boolean => url.startsWith(`${appOrigin}/`)

/** Addresses the page may load: its own files and what it made itself. `devtools:` and `chrome-extension:` are Chromium's own. */
export const mayLoad = (url: string): boolean =>
  isOurs(url) || /^(blob:app:\/\/patchbay\/|data:|devtools:)/.test(url)

/** Only the top frame of our own page may call the shell. */
export function isTrustedFrame(frame: Pick<WebFrameMain, 'url' | 'parent'> | null): boolean {
  return frame !== null && frame.parent === null && isOurs(frame.url)
}

export function hardenSession(session: Session): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => answer(false))
  session.setPermissionCheckHandler(() => false)
  session.setDevicePermissionHandler(() => false)
  session.webRequest.onBeforeRequest(({ url }, answer) => answer({ cancel: !mayLoad(url) }))
  session.on('will-download', (event) => event.preventDefault())
}

export function hardenContents(app: App): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.setWindowOpenHandler(() => ({ action: 'deny' }))
    contents.on('will-attach-webview', (event) => event.preventDefault())
    contents.on('will-frame-navigate', (event) => {
      if (!event.isMainFrame || !isOurs(event.url)) event.preventDefault()
    })
    contents.on('will-redirect', (event) => event.preventDefault())
  })
}
