/**
 * Runs the app at the first argument that is not a switch, as Electron's own default app does. A module with a top-level
 * await, so that Electron waits for the app's code before it is ready.
 */
import { app } from 'electron'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const argument = process.argv.slice(1).find((text) => !text.startsWith('-'))
if (argument === undefined) {
  console.error(`Electron ${process.versions.electron}: name the folder of an app.`)
  app.exit(1)
} else {
  const folder = path.resolve(argument)
  const { name, productName, version, main } = JSON.parse(
    readFileSync(path.join(folder, 'package.json'), 'utf8'),
  )
  Object.assign(process, { defaultApp: true })
  // Electron's default app sets these as well; they are not in its public types.
  const inside = /** @type {Electron.App & Record<'setVersion' | 'setAppPath', (value: string) => void>} */ (
    app
  )
  inside.setName(productName ?? name)
  inside.setVersion(version)
  inside.setAppPath(folder)
  await import(pathToFileURL(path.join(folder, main)).href)
}
