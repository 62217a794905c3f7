/** `patchbay extract`: the activations of a data set, as a job that is followed here and can be resumed. */
import path from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { PatchbayError } from '../../../preload/errors'
import {
  extractInput,
  extractOutput,
  extractResult,
  storedTypes,
  type ExtractForecast,
  type ExtractInput,
  type ExtractOutput,
  type ExtractResult,
  type StoredType,
} from '../../../preload/extraction'
import { invalidInput } from '../../engine/dispatch'
import { follow } from '../follow-job'
import { forTerminal } from '../output'
import { locate, openByName, withEngine, type ModelOptions } from '../session'
import { datasetOf, whole, withDatasetOptions, type DatasetOptions } from './dataset-options'
import { bytes, withModelOptions } from './model-option'

interface ExtractOptions extends DatasetOptions, ModelOptions {
  name?: string
  note: string
  hooks: string[]
  positions: ExtractOutput['positions']
  reduce: string
  directions?: string
  dictionary?: string
  k: number
  dtype: StoredType
  mode: 'auto' | 'row-major' | 'layer-major'
  memory?: number
  forecast?: boolean
}

const reductions = ['none', 'mean', 'max', 'norm', 'projection', 'top', 'features'] as const

export function addExtract(program: Command): void {
  withModelOptions(withDatasetOptions(program.command('extract <path>')))
    .description(
      'Extract activations of a data set into a collection; Ctrl+C pauses, `patchbay job resume` goes on.',
    )
    .requiredOption('--hooks <names...>', 'hook points; blocks.*.hook_resid_post for every layer')
    .option(
      '--positions <rule>',
      'all, last, text, span, span+1 or span-1, at:0,-1, every:4, every:4:1, matching:PATTERN',
      positionsOf,
      { kind: 'all' },
    )
    .addOption(new Option('--reduce <reduction>', 'what is kept of them').choices(reductions).default('none'))
    .option('--directions <file>', 'projection: a .npy or FILE.safetensors[:TENSOR], or preset:ID')
    .option('--dictionary <folder>', 'features: a SAELens folder')
    .option('-k, --k <n>', 'top and features: how many of the largest', whole, 32)
    .addOption(new Option('--dtype <type>', 'how values are kept').choices(storedTypes).default('float16'))
    .addOption(
      new Option('--mode <mode>', 'layer-major loads each block once, for models larger than memory')
        .choices(['auto', 'row-major', 'layer-major'])
        .default('auto'),
    )
    .option('--memory <size>', 'what the run may take, weights included, such as 400MB', bytes)
    .option('--name <name>', 'of the collection; the file’s unless given')
    .option('--note <text>', 'of the collection', '')
    .option('--forecast', 'say what it would take, and do nothing')
    .action(extract)
}

async function extract(given: string, options: ExtractOptions): Promise<void> {
  await withEngine(async (engine, signal) => {
    const location = await locate(engine, options.model)
    const { provider, precision, memoryBudget = null, memory = null, mode, note } = options
    const input: ExtractInput = {
      name: options.name ?? path.basename(given),
      note,
      model: { location, provider, precision, memoryBudget },
      dataset: await datasetOf(given, options),
      outputs: [outputOf(options)],
      mode,
      memory,
    }
    const parsed = extractInput.safeParse(input)
    if (!parsed.success) throw invalidInput('The extraction', parsed.error)
    if (options.forecast === true) {
      const { handle } = await openByName(engine, options, signal)
      printForecast(await engine.call('extraction.forecast', { ...input, handle }, { signal }))
      return
    }
    const { id } = await engine.call('jobs.start', { kind: 'extract', input: parsed.data })
    const result = extractResult.safeParse((await follow(engine, id, signal)).result)
    if (result.success) printExtraction(result.data)
  })
}

/** What an extraction gave, in a few lines. */
export function printExtraction(result: ExtractResult): void {
  const { rows, tokens, tokensPerSecond, bytes: stored, failures, collection } = result
  const speed = tokensPerSecond === 0 ? 'all there already' : `${tokensPerSecond.toFixed(0)} tokens/s`
  console.log(`${rows} rows, ${tokens} tokens (${speed}), ${(stored / 1e6).toFixed(1)} MB stored`)
  if (failures > 0)
    console.log(`${failures} rows failed or have values that are not numbers; the collection lists them`)
  console.log(`collection ${collection}`)
}

function printForecast(forecast: ExtractForecast): void {
  const { rows, tokens, longest, duplicates, failures, bytes: needed, present, free, notes } = forecast
  console.log(`${rows} rows, ${tokens} tokens, the longest row has ${longest}; ${duplicates} duplicates`)
  console.log(
    `${(needed / 1e6).toFixed(1)} MB to store, ${present} values there already; room for ${(free / 1e6).toFixed(0)} MB`,
  )
  for (const note of notes) console.log(forTerminal(note))
  for (const { row, error } of failures.slice(0, 10)) console.log(forTerminal(`row ${row}: ${error.message}`))
  if (failures.length > 10) console.log(`and ${failures.length - 10} more rows that can not be used`)
}

function outputOf(options: ExtractOptions): ExtractOutput {
  const { hooks, positions, dtype } = options
  const parsed = extractOutput.safeParse({ hooks, positions, dtype, reduction: reductionOf(options) })
  if (parsed.success) return parsed.data
  throw invalidInput('What is to be extracted', parsed.error)
}

function reductionOf({ reduce, directions, dictionary, k }: ExtractOptions): unknown {
  switch (reduce) {
    case 'projection': {
      if (directions === undefined) throw lacking('--directions', 'a projection needs directions')
      const preset = /^preset:(.+)$/.exec(directions)
      if (preset !== null) return { kind: reduce, directions: { kind: 'preset', id: preset[1] } }
      const [, file, tensor] = /^(.+?\.safetensors):(.+)$/.exec(directions) ?? [null, directions, undefined]
      return { kind: reduce, directions: { kind: 'file', path: path.resolve(file), tensor } }
    }
    case 'features':
      if (dictionary === undefined) throw lacking('--dictionary', 'features need a dictionary')
      return { kind: reduce, folder: path.resolve(dictionary), k }
    case 'top':
      return { kind: reduce, k }
    default:
      return { kind: reduce }
  }
}

const lacking = (field: string, why: string): PatchbayError =>
  new PatchbayError('input.invalid', `What is to be extracted is not complete: ${why}.`, {
    field,
    next: `Give ${field}.`,
  })

/** A rule for positions as it is written on the command line. */
function positionsOf(text: string): ExtractOutput['positions'] {
  if (text === 'all' || text === 'last' || text === 'text' || text === 'span') return { kind: text }
  const [, kind, rest] = /^(at|every|matching):(.+)$/s.exec(text) ?? []
  const numbers = (rest ?? '').split(kind === 'at' ? ',' : ':').map(Number)
  if (kind === 'matching') return { kind, pattern: rest }
  if (kind === 'at' && numbers.every(Number.isInteger)) return { kind, positions: numbers }
  const [step, from = 0, ...more] = numbers
  if (kind === 'every' && Number.isInteger(step) && Number.isInteger(from) && more.length === 0)
    return { kind, step, from }
  const offset = /^span([+-]\d+)$/.exec(text)
  if (offset !== null)
    return {
      kind: 'span-offset',
      from: offset[1].startsWith('-') ? 'first' : 'last',
      offset: Number(offset[1]),
    }
  throw new InvalidArgumentError(
    'Give all, last, text, span, span+N, span-N, at:N,N, every:STEP[:FROM] or matching:PATTERN.',
  )
}
