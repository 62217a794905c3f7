/**
 * In which precision and memory budget each model was last opened, over restarts of the app: a choice that fits one file
 * fits no other.
 */
import { z } from 'zod'
import type { ModelLocation } from '../../preload/model'
import { precisions } from '../../preload/run'

const key = 'patchbay.choices'
/** Models that are remembered; the oldest choice goes first. */
const most = 200
const choice = z.object({
  precision: z.enum(precisions),
  memoryBudget: z.number().int().positive().nullable(),
})
export type Choice = z.infer<typeof choice>
const stored = z.array(z.tuple([z.string(), choice]))

const nameOf = (location: ModelLocation): string =>
  location.kind === 'embedded' ? 'embedded' : location.path

/** What is stored; nothing where it is not ours or of another version. */
function read(): Map<string, Choice> {
  const text = localStorage.getItem(key)
  try {
    return new Map(text === null ? [] : stored.parse(JSON.parse(text)))
  } catch {
    return new Map()
  }
}

/** How a model was last opened by choice; else in the exact precision, with all the memory it needs. */
export const choiceFor = (location: ModelLocation): Choice =>
  read().get(nameOf(location)) ?? { precision: 'float32', memoryBudget: null }

export function rememberChoice(location: ModelLocation, chosen: Choice): void {
  const known = read()
  known.delete(nameOf(location))
  known.set(nameOf(location), { precision: chosen.precision, memoryBudget: chosen.memoryBudget })
  localStorage.setItem(key, JSON.stringify([...known].slice(-most)))
}
