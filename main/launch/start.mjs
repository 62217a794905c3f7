/**
 * `npm start [-- OPTIONS] [MODEL]`: gets ready and opens the workbench. Without a display it runs on a virtual one, saves what
 * the window shows and prints the first lens.
 */
import path from 'node:path'
import { runApp, runUnattended } from './app.mjs'
import { hasDisplay } from './display.mjs'
import { root, typedIn } from './folders.mjs'
import { readyForWindow } from './ready.mjs'
import { runMain, say } from './say.mjs'
import { startOptions, startUsage } from './start-options.mjs'

await runMain(async () => {
  const options = startOptions(process.argv.slice(2), typedIn())
  if (options.help) {
    say(startUsage)
    return 0
  }
  const runtime = await readyForWindow(root, {
    yes: options.yes,
    official: options.official,
    virtual: options.headless,
  })
  if (hasDisplay() && !options.headless) return runApp({ runtime, root, args: options.app })

  const folder = options.report ?? path.join(root, 'test-results', 'headless')
  if (!hasDisplay()) say('There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set).')
  say(`Opening the window on a virtual display; what it shows goes to ${path.join(folder, 'patchbay.png')}.`)
  return runUnattended({ runtime, root, args: [...options.app, '--headless-report', folder] })
})
