/** Where the packaged app starts: what the launcher does for a clone's environment, then the shell. */
import path from 'node:path'
import { graphicsEnvironment, makeRuntimeFolder } from './environment.mjs'

// Inherited by the engine's process, which is where it is needed.
const added = graphicsEnvironment(path.dirname(process.execPath))
makeRuntimeFolder(added)
Object.assign(process.env, added)

await import(new URL('../../dist/shell/index.js', import.meta.url).href)
