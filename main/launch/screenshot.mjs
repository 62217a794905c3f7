/**
 * `node main/launch/screenshot.mjs --out DIR [--size WxH] [MODEL]`: opens the real app and saves a picture of every view in
 * light and dark. On a virtual display where Xvfb is, so that no window disturbs the person.
 */
import path from 'node:path'
import { parseArgs } from 'node:util'
import { runApp, runUnattended } from './app.mjs'
import { hasDisplay } from './display.mjs'
import { root, typedIn } from './folders.mjs'
import { onPath } from './libraries.mjs'
import { readyForWindow } from './ready.mjs'
import { LaunchProblem, runMain } from './say.mjs'

await runMain(async () => {
  const { values, positionals } = parseArgs({
    options: { out: { type: 'string' }, size: { type: 'string' }, yes: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.out === undefined)
    throw new LaunchProblem(
      'Where should the pictures go?',
      'Usage: screenshot --out DIR [--size 1280x800] [MODEL]',
    )
  const runtime = await readyForWindow(root, { yes: values.yes })
  const args = [
    '--screenshot',
    path.resolve(typedIn(), values.out),
    '--size',
    values.size ?? '1280x800',
    ...positionals.map((model) => path.resolve(typedIn(), model)),
  ]
  if (hasDisplay() && !(process.platform === 'linux' && onPath('Xvfb')))
    return runApp({ runtime, root, args })
  return runUnattended({ runtime, root, args })
})
