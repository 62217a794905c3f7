/** The options that say what a search looks for, the same for `search` and `page`. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Command } from 'commander'
import type { CallInput } from '../../../preload/api'
import type { SearchTarget } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import { decodeNpy } from '../../models/formats/npy'
import { readFailure } from '../../models/formats/malformed'
import { wholeNumber } from './whole-number'

export interface SearchChoice {
  output: string
  unit?: number
  head?: number
  direction?: string
  preset?: string
  dictionary?: string
  feature?: number
  where?: string
  count: number
  seed: number
  everyPosition?: boolean
}

export const addSearchOptions = (command: Command): Command =>
  command
    .requiredOption('-o, --output <name>', 'the output, as `collection show` lists it')
    .option('--unit <index>', 'a dimension or neuron by its index', wholeNumber)
    .option('--head <index>', 'a head: its norm, or with --unit one of its dimensions', wholeNumber)
    .option('--direction <file>', 'a direction as a .npy file')
    .option('--preset <id>', 'a steering preset’s vector')
    .option('--dictionary <folder>', 'a SAELens dictionary, with --feature')
    .option('--feature <index>', 'one of its features', wholeNumber)
    .option('--where <expression>', 'only rows for which this holds')
    .option('--count <contexts>', 'contexts to show', wholeNumber, 20)
    .option('--every-position', 'more than one context of a row')
    .option('--seed <seed>', 'of the samples', wholeNumber, 0)

export async function searchInputOf(
  id: string,
  choice: SearchChoice,
): Promise<CallInput<'collections.search'>> {
  const { output, where: filter, count, seed } = choice
  const distinctRows = choice.everyPosition !== true
  return { id, output, target: await targetOf(choice), filter, count, seed, distinctRows }
}

async function targetOf({
  unit,
  head,
  direction,
  preset,
  dictionary,
  feature,
}: SearchChoice): Promise<SearchTarget> {
  const targets: SearchTarget[] = []
  if (unit !== undefined) targets.push({ kind: 'unit', unit, head })
  else if (head !== undefined) targets.push({ kind: 'head', head })
  if (direction !== undefined) targets.push({ kind: 'direction', direction: await readDirection(direction) })
  if (preset !== undefined) targets.push({ kind: 'preset', id: preset })
  if (dictionary !== undefined && feature !== undefined)
    targets.push({ kind: 'feature', folder: path.resolve(dictionary), feature })
  if (targets.length === 1) return targets[0]
  throw new PatchbayError('input.invalid', 'It is not said what to search for, or several things are.', {
    field: 'target',
    next: 'Give one of --unit, --head, --direction, --preset, or --dictionary with --feature.',
  })
}

async function readDirection(file: string) {
  let bytes: Uint8Array
  try {
    bytes = await readFile(file)
  } catch (error) {
    throw readFailure(file, error)
  }
  const { type, shape, data } = decodeNpy(bytes, file)
  if (type === 'float32') return { shape, data: Float32Array.from(data) }
  if (type === 'float64') return { shape, data: Float32Array.from(data) }
  throw new PatchbayError(
    'input.invalid',
    `${path.basename(file)} holds ${type}, not floating-point numbers.`,
    {
      file,
      next: 'Save the direction as float32.',
    },
  )
}
