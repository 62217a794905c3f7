/** The one window: sandboxed, isolated, where it was last time, and in the theme's colour before anything is drawn. */
import { BrowserWindow, nativeTheme, screen } from 'electron'
import { appOrigin, launchArgument, type LaunchInfo } from '../../preload/shell'
import { visibleBounds } from './bounds'
import type { ShellSettings } from './settings'

export const minimumSize = { width: 960, height: 600 }
const usualSize = { width: 1360, height: 860 }

export interface WindowOptions {
  preload: string
  launch: LaunchInfo
  bounds: ShellSettings['window']
  /** An exact content size, for pictures; the remembered bounds are left alone. */
  size?: { width: number; height: number }
}

/** Creates the window and starts loading the page; shown when there is something to see. */
export function openWindow({ preload, launch, bounds, size }: WindowOptions): BrowserWindow {
  const remembered =
    size === undefined && bounds !== undefined
      ? visibleBounds(
          bounds,
          screen.getAllDisplays().map((display) => display.workArea),
        )
      : undefined
  const window = new BrowserWindow({
    ...usualSize,
    ...remembered,
    ...size,
    useContentSize: size !== undefined,
    minWidth: size === undefined ? minimumSize.width : undefined,
    minHeight: size === undefined ? minimumSize.height : undefined,
    show: false,
    title: 'Patchbay',
    backgroundColor: backgroundColor(nativeTheme.shouldUseDarkColors),
    webPreferences: {
      preload,
      additionalArguments: [launchArgument + encodeURIComponent(JSON.stringify(launch))],
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      // The spelling checker downloads dictionaries.
      spellcheck: false,
      backgroundThrottling: !launch.headlessReport,
    },
  })
  if (remembered !== undefined && bounds?.maximized === true) window.maximize()
  window.once('ready-to-show', () => window.show())
  void window.loadURL(`${appOrigin}/index.html`)
  return window
}

/** The page's own background (--surface-0 in renderer/theme.css), so that opening does not flash. */
export const backgroundColor = (dark: boolean): string => (dark ? '#121417' : '#f3f4f5')

/** What to remember of a window. */
export function boundsOf(window: BrowserWindow): NonNullable<ShellSettings['window']> {
  return { ...window.getNormalBounds(), maximized: window.isMaximized() }
}
