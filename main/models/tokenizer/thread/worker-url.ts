/** Where the text worker's script is: bundled beside the engine, or built into dist when the sources run as they are. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PatchbayError } from '../../../../preload/errors'

/** Seen from a bundle in dist/engine or in a folder beside it, and from this file: the tests' own build goes first. */
const places = [
  './text-worker.js',
  '../engine/text-worker.js',
  '../../../../dist/test/text-worker.js',
  '../../../../dist/engine/text-worker.js',
]

let found: URL | undefined

/** @throws PatchbayError `internal` where it was never built */
export function textWorkerUrl(): URL {
  found ??= places
    .map((place) => new URL(place, import.meta.url))
    .find((url) => existsSync(fileURLToPath(url)))
  if (found === undefined)
    throw new PatchbayError(
      'internal',
      'The text worker (text-worker.js) is missing from this installation.',
      {
        next: 'Build it with "npm run build", or install Patchbay again.',
      },
    )
  return found
}
