/** Which precision each model was last computed in, over restarts of the app: a choice that fits one file fits no other. */
import { z } from 'zod'
import type { ModelLocation } from '../../preload/model'
import { precisions } from '../../preload/run'
import type { Precision } from '../../preload/run'

const key = 'patchbay.precisions'
/** Models that are remembered; the oldest choice goes first. */
const most = 200
const stored = z.array(z.tuple([z.string(), z.enum(precisions)]))

const nameOf = (location: ModelLocation): string =>
  location.kind === 'embedded' ? 'embedded' : location.path

/** What is stored; nothing where it is not ours or of another version. */
function read(): Map<string, Precision> {
  const text = localStorage.getItem(key)
  try {
    return new Map(text === null ? [] : stored.parse(JSON.parse(text)))
  } catch {
    return new Map()
  }
}

/** The precision that a model was last opened in by choice; else the exact one. */
export const precisionFor = (location: ModelLocation): Precision => read().get(nameOf(location)) ?? 'float32'

export function rememberPrecision(location: ModelLocation, precision: Precision): void {
  const known = read()
  known.delete(nameOf(location))
  known.set(nameOf(location), precision)
  localStorage.setItem(key, JSON.stringify([...known].slice(-most)))
}
