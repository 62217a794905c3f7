/** The menu bar. Its own items only send a command to the window, where one registry says what each does. */
import type { MenuItemConstructorOptions } from 'electron'
import { themeNames, viewNames, type ShellCommand, type ThemeName, type ViewName } from '../../preload/shell'

const viewTitles: Record<ViewName, string> = {
  prompt: 'Prompt',
  layers: 'Layers',
  compare: 'Compare',
  patch: 'Patch',
  attribution: 'Attribute',
  train: 'Train',
  data: 'Data',
  steer: 'Steer',
}
const themeTitles: Record<ThemeName, string> = { system: 'Like the system', light: 'Light', dark: 'Dark' }

export interface MenuOptions {
  platform: NodeJS.Platform
  /** Developer tools are for a clone, not for the packaged app. */
  developer: boolean
  theme: ThemeName
  send: (command: ShellCommand) => void
}

export function menuTemplate({
  platform,
  developer,
  theme,
  send,
}: MenuOptions): MenuItemConstructorOptions[] {
  const mac = platform === 'darwin'
  const separator: MenuItemConstructorOptions = { type: 'separator' }
  const item = (label: string, command: ShellCommand, accelerator?: string): MenuItemConstructorOptions => ({
    id: 'view' in command ? `${command.id}.${command.view}` : command.id,
    label,
    accelerator,
    click: () => send(command),
  })
  return [
    ...(mac ? [{ role: 'appMenu' } satisfies MenuItemConstructorOptions] : []),
    {
      label: '&File',
      submenu: [
        item('Open Model…', { id: 'model.open-file' }, 'CmdOrCtrl+O'),
        item('Open Model Folder…', { id: 'model.open-folder' }, 'CmdOrCtrl+Shift+O'),
        item('Download a Model…', { id: 'model.download' }),
        separator,
        item('Save…', { id: 'export.save' }, 'CmdOrCtrl+S'),
        separator,
        { role: mac ? 'close' : 'quit' },
      ],
    },
    { role: 'editMenu' },
    {
      label: '&View',
      submenu: [
        ...viewNames.map((view, i) =>
          item(viewTitles[view], { id: 'view.show', view }, `CmdOrCtrl+${i + 1}`),
        ),
        separator,
        {
          label: 'Theme',
          submenu: themeNames.map((name) => ({
            id: `theme.set.${name}`,
            label: themeTitles[name],
            type: 'radio',
            checked: name === theme,
            click: () => send({ id: 'theme.set', theme: name }),
          })),
        },
        separator,
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { role: 'resetZoom' },
        { role: 'togglefullscreen' },
        separator,
        { role: 'reload' },
        ...(developer ? [{ role: 'toggleDevTools' } satisfies MenuItemConstructorOptions] : []),
      ],
    },
    { role: 'windowMenu' },
    { role: 'help', submenu: [item('About Patchbay', { id: 'help.about' })] },
  ]
}
