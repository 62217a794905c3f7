/** `patchbay models`: what the library remembers, what a model is made of, which presets there are. */
import type { Command } from 'commander'
import type { ModelForecast } from '../../../preload/forecast'
import { forTerminal } from '../output'
import { locate, withEngine, withModel, type ModelOptions } from '../session'
import { withModelOptions } from './model-option'

interface ModelsOptions extends Omit<ModelOptions, 'model'> {
  model?: string
  presets?: boolean
  hooks?: boolean
  forecast?: boolean
  forget?: string
  json?: boolean
}

export function addModels(program: Command): void {
  withModelOptions(program.command('models'))
    .description('List the library; with --model, describe one model (and add it to the library).')
    .option('--hooks', 'list its hook points with their shapes')
    .option('--forecast', 'say what it would take of memory, without loading it')
    .option('--presets', 'list the steering presets instead')
    .option('--forget <id>', 'take a model out of the library (its files stay)')
    .option('--json', 'print JSON')
    .action(async (options: ModelsOptions, command: Command) => {
      if (options.presets === true) await listPresets(options)
      else if (options.forget !== undefined) await forget(options.forget)
      else if (options.forecast === true) await forecast({ ...options, model: options.model ?? '' })
      else if (command.getOptionValueSource('model') === 'cli')
        await describe({ ...options, model: options.model ?? '' })
      else await listLibrary(options)
    })
}

async function forget(id: string): Promise<void> {
  await withEngine((engine) => engine.call('library.forget', { id }))
}

async function listLibrary(options: ModelsOptions): Promise<void> {
  await withEngine(async (engine) => {
    const entries = await engine.call('library.list', {})
    if (options.json === true) return console.log(JSON.stringify(entries))
    if (entries.length === 0)
      console.log('No model was opened yet. `patchbay models --model storyworld` opens the embedded one.')
    for (const { id, name, family, format, fingerprint, location, present } of entries) {
      const place = location.kind === 'embedded' ? 'embedded' : location.path
      const state = present ? '' : '  (file is gone)'
      console.log(
        `${id.padEnd(16)}  ${forTerminal(name)}  ${family}, ${format}  ${fingerprint.slice(0, 12)}  ${forTerminal(place)}${state}`,
      )
    }
  })
}

async function listPresets(options: ModelsOptions): Promise<void> {
  await withEngine(async (engine) => {
    const { presets, broken } = await engine.call('preset.list', {})
    if (options.json === true) return console.log(JSON.stringify({ presets, broken }))
    for (const { preset, bundled } of presets)
      console.log(
        `${preset.id}  ${forTerminal(preset.name)}  for ${forTerminal(preset.model.name)}${bundled ? '  (bundled)' : ''}`,
      )
    for (const { file, error } of broken)
      console.log(`${forTerminal(file)}  broken: ${forTerminal(error.message)}`)
  })
}

async function describe(options: ModelsOptions & ModelOptions): Promise<void> {
  await withModel(options, async (_engine, model) => {
    if (options.json === true) return console.log(JSON.stringify(model))
    console.log(
      `${forTerminal(model.name)}  ${model.family}, ${model.format}, ${model.precision} on ${model.provider}`,
    )
    if (model.providerNote !== null) console.log(`  ${model.providerNote}`)
    console.log(`  fingerprint ${model.fingerprint}`)
    for (const { label, value } of model.traits) console.log(`  ${label}: ${forTerminal(value)}`)
    for (const warning of model.warnings) console.log(`  ! ${forTerminal(warning)}`)
    if (options.hooks === true)
      for (const { name, dims, sizes } of model.hookPoints)
        console.log(
          `  ${name}  [${dims.map((dim, i) => (sizes[i] === null ? dim : `${dim} ${sizes[i]}`)).join(', ')}]`,
        )
  })
}

async function forecast({
  model,
  json,
  provider,
  precision,
  memoryBudget,
}: ModelsOptions & ModelOptions): Promise<void> {
  await withEngine(async (engine) => {
    const location = await locate(engine, model)
    const found = await engine.call('model.forecast', { location, provider, precision, memoryBudget })
    if (json === true) return console.log(JSON.stringify(found))
    if (found === null) return console.log('What an exported graph takes is not known before it is compiled.')
    for (const line of forecastLines(found)) console.log(line)
  })
}

function forecastLines({ forecasts, available, advice }: ModelForecast): string[] {
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`.padStart(9)
  return [
    ...forecasts.map(
      ({ precision, whole, least }) =>
        `${precision.padEnd(10)} ${megabytes(whole)} whole, ${megabytes(least)} at the least with --memory-budget`,
    ),
    `available  ${megabytes(available)}`,
    advice,
  ]
}
