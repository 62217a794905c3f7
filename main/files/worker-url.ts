/** Where a worker thread's script is: bundled beside the engine, or built into dist when the sources run as they are. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PatchbayError } from '../../preload/errors'

/** Seen from a bundle in dist/engine or in a folder beside it, and from this file: the tests' own build goes first. */
const places = ['./', '../engine/', '../../dist/test/', '../../dist/engine/']

const found = new Map<string, URL>()

/**
 * @param script its file name, such as `text-worker.js`
 * @throws PatchbayError `internal` where it was never built
 */
export function workerUrl(script: string): URL {
  const url =
    found.get(script) ??
    places
      .map((place) => new URL(place + script, import.meta.url))
      .find((each) => existsSync(fileURLToPath(each)))
  if (url === undefined)
    throw new PatchbayError('internal', `A part of this installation (${script}) is missing.`, {
      next: 'Build it with "npm run build", or install Patchbay again.',
    })
  found.set(script, url)
  return url
}
