/** The options of `npm start`. What is not the launcher's is the app's. */
import path from 'node:path'
import { LaunchProblem } from './say.mjs'

export const startUsage = `npm start [-- OPTIONS] [MODEL]

  MODEL              a .gguf, .safetensors or .onnx file, or a model folder, to open in place of storyworld
  --yes              as root on Debian: install missing system packages
  --official         fetch the official Electron even where the one from npm is there
  --headless         run on a virtual display, save a picture of the window, print the first lens, quit
  --report DIR       where that picture goes
  --user-data-dir D  keep settings, presets and library in D`

/**
 * @param {string[]} args
 * @param {string} folder what relative paths are relative to
 */
export function startOptions(args, folder) {
  const options = {
    help: false,
    yes: false,
    official: false,
    headless: false,
    /** @type {string | undefined} */
    report: undefined,
    /** @type {string[]} for the app, paths absolute */
    app: [],
  }
  const rest = [...args]
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const value = () => {
      const next = rest.shift()
      if (next === undefined || next.startsWith('--'))
        throw new LaunchProblem(`${argument} needs a value.`, startUsage)
      return path.resolve(folder, next)
    }
    if (argument === '--help' || argument === '-h') options.help = true
    else if (argument === '--yes') options.yes = true
    else if (argument === '--official') options.official = true
    else if (argument === '--headless') options.headless = true
    else if (argument === '--report') options.report = value()
    else if (argument === '--user-data-dir') options.app.push('--user-data-dir', value())
    else if (argument.startsWith('-')) throw new LaunchProblem(`There is no option ${argument}.`, startUsage)
    else options.app.push(path.resolve(folder, argument))
  }
  return options
}
