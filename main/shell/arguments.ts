/** What the command line asks of the app. Chromium's and Electron's own switches are left to them. */
import path from 'node:path'
import { PatchbayError } from '../../preload/errors'

export interface AppArguments {
  /** Absolute path of a model to open. */
  modelPath?: string
  /** Draw the first lens, save a picture of the window in this folder, print the lens as text, quit. */
  headlessReport?: string
  /** Save a picture of every view in light and dark in this folder, quit. */
  screenshot?: string
  /** Width and height of the window's content in pixels. */
  size?: { width: number; height: number }
  /** Absolute path of the folder to keep everything in. */
  userDataDir?: string
}

/**
 * What is ours in Electron's `process.argv`: without the executable and, in a clone, without the app's path, which is the
 * first argument that is not a switch.
 */
export function ownArguments(argv: readonly string[], packaged: boolean): string[] {
  const own = argv.slice(1)
  const appPath = packaged ? -1 : own.findIndex((argument) => !argument.startsWith('-'))
  if (appPath !== -1) own.splice(appPath, 1)
  return own
}

const valued = ['headless-report', 'screenshot', 'size', 'user-data-dir'] as const
type Valued = (typeof valued)[number]

/**
 * @param args from `ownArguments`
 * @param cwd what relative paths are relative to
 * @throws PatchbayError `input.invalid`
 */
export function parseArguments(args: readonly string[], cwd: string): AppArguments {
  const values = new Map<Valued, string>()
  const models: string[] = []
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? ''
    const name = valued.find((known) => argument === `--${known}` || argument.startsWith(`--${known}=`))
    if (name !== undefined) {
      const value = argument.includes('=') ? argument.slice(argument.indexOf('=') + 1) : args[++i]
      if (value === undefined || value === '' || (value.startsWith('--') && !argument.includes('=')))
        throw new PatchbayError('input.invalid', `--${name} needs a value.`, { next: usage })
      values.set(name, value)
    } else if (!argument.startsWith('-') && argument !== '') models.push(argument)
  }
  if (models.length > 1)
    throw new PatchbayError(
      'input.invalid',
      `One model can be opened at a time; ${models.length} were named.`,
      {
        next: usage,
      },
    )

  const folder = (name: Valued): string | undefined => {
    const value = values.get(name)
    return value === undefined ? undefined : path.resolve(cwd, value)
  }
  return {
    modelPath: models[0] === undefined ? undefined : path.resolve(cwd, models[0]),
    headlessReport: folder('headless-report'),
    screenshot: folder('screenshot'),
    size: parseSize(values.get('size')),
    userDataDir: folder('user-data-dir'),
  }
}

function parseSize(text: string | undefined): AppArguments['size'] {
  if (text === undefined) return undefined
  const [, width, height] = /^(\d{3,5})x(\d{3,5})$/.exec(text) ?? []
  if (width === undefined || height === undefined)
    throw new PatchbayError('input.invalid', `--size ${text} is not a size.`, {
      next: 'Write it like 1280x800.',
    })
  return { width: Number(width), height: Number(height) }
}

const usage =
  'Usage: patchbay [MODEL] [--headless-report DIR | --screenshot DIR] [--size 1280x800] [--user-data-dir DIR]'
