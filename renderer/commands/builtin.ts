/** The commands of the frame itself, and what the shell's menu items do in the window. */
import { shellError, themeNames, viewNames } from '../../preload/shell'
import type { ShellCommand, ThemeName, ViewName } from '../../preload/shell'
import { focusedExports } from '../exports/focused-panel'
import { services } from '../services'
import { useInspector } from '../stores/inspector'
import { useModels } from '../stores/models'
import { useNotices } from '../stores/notices'
import { usePrompt } from '../stores/prompt'
import { useSelection } from '../stores/selection'
import { useView } from '../stores/view'
import type { Command } from './registry'
import { useCommands } from './registry'

export const viewTitles: Record<ViewName, string> = {
  prompt: 'Prompt',
  layers: 'Layers',
  compare: 'Compare',
  patch: 'Patch',
  attribution: 'Attribute',
  train: 'Train',
  data: 'Data',
  steer: 'Steer',
}
const themeTitles: Record<ThemeName, string> = {
  system: 'Theme as the system',
  light: 'Light theme',
  dark: 'Dark theme',
}

export async function setTheme(theme: ThemeName): Promise<void> {
  useView().themeChoice = theme
  await services().shell.setTheme(theme)
}

/** Asks for a file or folder and opens it as a model. */
export async function openByDialog(kind: 'file' | 'folder'): Promise<void> {
  let path: string | null
  try {
    path = await services().shell.choosePath(`model-${kind}`)
  } catch (thrown) {
    throw shellError(thrown)
  }
  if (path !== null) await useModels().openPath(path)
}

async function exportSelected(): Promise<void> {
  const action = focusedExports()[0] ?? useInspector().subject?.exports?.[0]
  if (action === undefined)
    useNotices().warn(
      'Select something in the view first: what has the focus is exported, else what the inspector shows.',
    )
  else await action.run()
}

/** What the frame can do, for `useCommands().register`. `focusPrompt` puts the caret into the prompt bar. */
export function builtinCommands(focusPrompt: () => void): Command[] {
  const view = useView()
  const selection = useSelection()
  const prompt = usePrompt()
  return [
    ...viewNames.map((name, i) => ({
      id: `view.${name}`,
      title: `Show ${viewTitles[name]}`,
      key: String(i + 1),
      run: () => view.show(name),
    })),
    { id: 'prompt.focus', title: 'Write the prompt', key: '/', run: focusPrompt },
    {
      id: 'prompt.run',
      title: 'Run the prompt now',
      key: 'Ctrl+Enter',
      whileTyping: true,
      run: () => prompt.encode('A'),
    },
    {
      id: 'selection.pin',
      title: 'Pin the selection, or unpin it',
      key: 'p',
      run: () => selection.togglePin(),
    },
    {
      id: 'selection.previous-position',
      title: 'Select the position before',
      key: '[',
      run: () => selection.step(-1),
    },
    {
      id: 'selection.next-position',
      title: 'Select the next position',
      key: ']',
      run: () => selection.step(1),
    },
    {
      id: 'inspector.toggle',
      title: 'Show or hide the inspector',
      key: 'i',
      run: () => view.toggleInspector(),
    },
    { id: 'model.menu', title: 'Choose a model', key: 'm', run: () => void (view.modelMenuOpen = true) },
    { id: 'model.open-file', title: 'Open a model file…', key: 'Ctrl+o', run: () => openByDialog('file') },
    {
      id: 'model.open-folder',
      title: 'Open a model folder…',
      key: 'Ctrl+Shift+o',
      run: () => openByDialog('folder'),
    },
    {
      id: 'model.download',
      title: 'Download a model…',
      run: () => {
        view.modelMenuOpen = false
        view.hubOpen = true
      },
    },
    { id: 'export.save', title: 'Export what is selected…', key: 'Ctrl+s', run: exportSelected },
    ...themeNames.map((theme) => ({
      id: `theme.${theme}`,
      title: themeTitles[theme],
      run: () => setTheme(theme),
    })),
    { id: 'help.keys', title: 'Show all keys', key: '?', run: () => void (view.keysOpen = true) },
    { id: 'help.about', title: 'About Patchbay', run: () => void (view.aboutOpen = true) },
  ]
}

/** Does what the shell asks for (menu, command line, a screenshot run). */
export async function runShellCommand(command: ShellCommand): Promise<void> {
  switch (command.id) {
    case 'model.open-path':
      await useModels().openPath(command.path)
      return
    case 'view.show':
      useView().show(command.view)
      return
    case 'theme.set':
      useView().themeChoice = command.theme
      return
    case 'model.open-file':
    case 'model.open-folder':
    case 'model.download':
    case 'export.save':
    case 'help.about':
      useCommands().run(command.id)
  }
}
