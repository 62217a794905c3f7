import type { MenuItemConstructorOptions } from 'electron'
import { describe, expect, it } from 'vitest'
import { menuTemplate } from '../../main/shell/menu'
import { viewNames, type ShellCommand } from '../../preload/shell'

describe('the menu', () => {
  const sent: ShellCommand[] = []
  const flat = (items: MenuItemConstructorOptions[]): MenuItemConstructorOptions[] =>
    items.flatMap((item) => [item, ...(Array.isArray(item.submenu) ? flat(item.submenu) : [])])
  const menu = (developer: boolean): MenuItemConstructorOptions[] =>
    flat(menuTemplate({ platform: 'linux', developer, theme: 'dark', send: (command) => sent.push(command) }))
  const click = (id: string): void => {
    const item = menu(false).find((entry) => entry.id === id)
    // Electron calls it with the item, the window and the event, none of which is used.
    ;(item?.click as (() => void) | undefined)?.()
  }

  it('sends commands to the window', () => {
    for (const id of [
      'model.open-file',
      'model.download',
      'view.show.layers',
      'theme.set.light',
      'help.about',
    ])
      click(id)
    expect(sent).toEqual([
      { id: 'model.open-file' },
      { id: 'model.download' },
      { id: 'view.show', view: 'layers' },
      { id: 'theme.set', theme: 'light' },
      { id: 'help.about' },
    ])
  })
  it('switches views by their number', () => {
    const keys = menu(false)
      .filter((item) => item.id?.startsWith('view.show.'))
      .map((item) => item.accelerator)
    expect(keys).toEqual(viewNames.map((_, i) => `CmdOrCtrl+${i + 1}`))
  })
  it('marks the theme in use', () => {
    expect(
      menu(false)
        .filter((item) => item.checked)
        .map((item) => item.id),
    ).toEqual(['theme.set.dark'])
  })
  it('has developer tools in a clone only', () => {
    expect(menu(true).some((item) => item.role === 'toggleDevTools')).toBe(true)
    expect(menu(false).some((item) => item.role === 'toggleDevTools')).toBe(false)
  })
})
