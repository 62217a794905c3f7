/** `patchbay job …`: probes, dictionaries, steering vectors and extractions as jobs, followed on a terminal, resumable. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { JobRecord } from '../../../preload/jobs'
import type { ModelSourceInput } from '../../../preload/model'
import { extractResult } from '../../../preload/extraction'
import { trainingResult, type TrainingResult } from '../../../preload/training'
import type { Engine } from '../../engine/engine'
import { follow, lineOf } from '../follow-job'
import { forTerminal } from '../output'
import { locate, withEngine } from '../session'
import { printExtraction } from './extract'

interface StartOptions {
  input: string
  model?: string
}

export function addJob(program: Command): void {
  const job = program
    .command('job')
    .description('Probes, dictionaries, steering vectors and extractions as jobs.')
  job
    .command('start')
    .argument('<kind>', 'probe, dictionary, steering, extract or train.storyworld')
    .description('Start a job and follow it; Ctrl+C pauses it behind a checkpoint.')
    .requiredOption(
      '-i, --input <file>',
      'its input as JSON (see preload/training.ts and extraction.ts for the fields)',
    )
    .option(
      '-m, --model <model>',
      'storyworld, a path, or a name from the library; in place of the input’s model',
    )
    .action((kind: string, options: StartOptions) =>
      withEngine(async (engine, signal) => {
        const input = await inputOf(engine, options)
        const { id } = await engine.call('jobs.start', { kind, input })
        await followed(engine, id, signal)
      }),
    )
  job
    .command('list')
    .description('List all jobs, newest first.')
    .action(() =>
      withEngine(async (engine) => {
        const { jobs, unreadable, warning } = await engine.call('jobs.list', {})
        for (const each of jobs) console.log(lineOf(each))
        for (const { id, error } of unreadable)
          console.log(`${id}  unreadable  ${forTerminal(error.message)}`)
        if (warning !== null) console.error(`patchbay: ${forTerminal(warning.message)}`)
        if (jobs.length + unreadable.length === 0) console.log('There are no jobs.')
      }),
    )
  job
    .command('show')
    .argument('<id>')
    .description('Print a job’s record as JSON.')
    .action((id: string) =>
      withEngine(async (engine) => {
        console.log(JSON.stringify(await engine.jobs.get(id), null, 1))
      }),
    )
  job
    .command('resume')
    .argument('<id>')
    .description('Go on with a paused, failed or interrupted job and follow it.')
    .action((id: string) =>
      withEngine(async (engine, signal) => {
        await engine.call('jobs.resume', { id })
        await followed(engine, id, signal)
      }),
    )
  for (const what of ['cancel', 'remove'] as const)
    job
      .command(what)
      .argument('<id>')
      .description(what === 'cancel' ? 'Stop a job for good.' : 'Remove a job with all that it kept.')
      .action((id: string) =>
        withEngine(async (engine) => {
          if (what === 'remove') await engine.call('jobs.remove', { id })
          else console.log(lineOf(await engine.call('jobs.cancel', { id })))
        }),
      )
}

/** The JSON of a file, with the model that was named in the place of its own. */
async function inputOf(engine: Engine, { input, model }: StartOptions): Promise<unknown> {
  let text: string
  try {
    text = await readFile(input, 'utf8')
  } catch (error) {
    throw asPatchbayError(error)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new PatchbayError('file.malformed', 'The input is not JSON.', {
      file: input,
      next: 'Correct it and start again.',
      cause,
    })
  }
  if (model === undefined) return value
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PatchbayError('input.invalid', 'The input is no JSON object.', {
      file: input,
      next: 'Write the settings as {"…": …}.',
    })
  return { ...value, model: { location: await locate(engine, model) } satisfies ModelSourceInput }
}

/** Follows a job, and prints what it gave. */
async function followed(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  printResult(await follow(engine, id, signal))
}

function printResult({ result: given }: JobRecord): void {
  const extracted = extractResult.safeParse(given)
  if (extracted.success) return printExtraction(extracted.data)
  const result = trainingResult.safeParse(given)
  if (result.success) for (const text of resultLines(result.data)) console.log(forTerminal(text))
}

const three = (value: number | null): string => (value === null ? '–' : value.toFixed(3))

/** A result in a few lines. */
function resultLines(result: TrainingResult): string[] {
  switch (result.kind) {
    case 'probe':
      return [
        'layer  accuracy  AUC    shuffled labels  p',
        ...result.layers.map(({ layer, test, control }) => {
          const accuracies = control?.accuracies ?? []
          const mean =
            accuracies.length === 0
              ? null
              : accuracies.reduce((sum, value) => sum + value, 0) / accuracies.length
          return `${String(layer).padStart(5)}  ${three(test.accuracy)}     ${three(test.auc)}  ${three(mean).padEnd(15)}  ${three(control?.p ?? null)}`
        }),
        result.file,
      ]
    case 'dictionary': {
      const { statistics, loss } = result
      return [
        `L0 ${three(statistics.l0)}, explained variance ${three(statistics.explainedVariance)}, dead ${three(statistics.dead)}`,
        `cross-entropy ${three(loss.original)}, spliced ${three(loss.spliced)}, zeroed ${three(loss.zeroed)}: ${three(loss.recovered)} recovered`,
        result.folder,
      ]
    }
    case 'steering': {
      const { before, after } = result
      return [
        `probability of targets ${three(before.raised)} → ${three(after.raised)}, of avoided ${three(before.lowered)} → ${three(after.lowered)}`,
        `norm ${three(result.norm)} of at most ${three(result.maxNorm)}, the residual stream’s ${three(result.residualNorm)}`,
        `preset ${result.preset}`,
      ]
    }
    case 'storyworld':
      return [`${result.steps} steps`]
  }
}
