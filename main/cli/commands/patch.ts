/** `patchbay patch`: the exact effect of patching one component after another, from one prompt into another. */
import path from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { directions } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import type { ModelDescription } from '../../../preload/model'
import { sweepAxes, sweepComponents } from '../../../preload/sweep'
import { sweepFile, sweepFormats, type SweepFormat } from '../../analysis/patching/export'
import { scrubFile, scrubFormats } from '../../analysis/patching/scrub-export'
import type { Engine } from '../../engine/engine'
import { writeWhole } from '../../files/durable-file'
import { progressLine } from '../progress'
import { withModel, type ModelOptions } from '../session'
import { withModelOptions } from './model-option'
import { askedOf, flaggedSweep, type Asked, type AskedWithTensors, type PatchFlags } from './patch-request'
import { printScrub, printSweep } from './patch-text'

interface PatchOptions extends ModelOptions, PatchFlags {
  request?: string
  tensors?: string
  out?: string
  json?: boolean
}

const metricKinds = ['logit-difference', 'log-probability', 'probability', 'rank', 'kl'] as const
const dotted = (formats: readonly string[]): string => formats.map((one) => `.${one}`).join(', ')

export function addPatch(program: Command): void {
  withModelOptions(program.command('patch'))
    .description(
      'Patch activations of one prompt into another: each component alone, through paths, or all but some.',
    )
    .option('--clean <text>', 'the prompt whose activations are put in (denoising)')
    .option('--corrupt <text>', 'the prompt that is run (denoising)')
    .addOption(
      new Option('--component <kind>', 'what is patched').choices(sweepComponents).default('resid_pre'),
    )
    .addOption(
      new Option('--by <axes...>', 'one site for each of these, in each layer')
        .choices(sweepAxes)
        .default(['position']),
    )
    .option('--layers <list>', 'only these layers, such as 3,5', indices)
    .option('--dictionary <folder>', 'patch features of this dictionary (a SAELens folder) instead')
    .option('--features <list>', 'its features, such as 3,5; otherwise those that differ most', indices)
    .option('--top <count>', 'how many of those', count)
    .addOption(
      new Option('--direction <which>', 'which prompt is run').choices(directions).default('denoising'),
    )
    .option('--align', 'align prompts of different length')
    .addOption(
      new Option('--metric <kind>', 'what is measured').choices(metricKinds).default('logit-difference'),
    )
    .option('--positive <text>', 'a right answer, one token; may be repeated', collect, [])
    .option('--negative <text>', 'a wrong answer, one token; may be repeated', collect, [])
    .option(
      '--request <json or file>',
      'instead of the above a request as the view copies it: a sweep, path patching, or a scrubbing check',
    )
    .option('--tensors <file>', 'a .safetensors file with the tensors that the request names')
    .option(
      '-o, --out <file>',
      `write the values to this file (${dotted(sweepFormats)}; scrubbing: ${dotted(scrubFormats)})`,
    )
    .option('--json', 'print one JSON object')
    .action(async (options: PatchOptions, command: Command) => {
      const given = await givenRequest(options, command)
      // What can not be written is said before anything is computed.
      const write = writerTo(options.out, given?.kind ?? 'places')
      await withModel(options, async (engine, model, signal) => {
        const asked = given ?? {
          kind: 'places',
          request: await flaggedSweep(options, engine, model.handle),
          tensors: {},
          model: null,
        }
        checkModel(asked.model, model)
        const { file, print } = await computed(engine, model.handle, asked, signal)
        await write(file)
        if (options.json === true) process.stdout.write(file('json'))
        else {
          print()
          if (options.out !== undefined) console.log(`written to ${options.out}`)
        }
      })
    })
}

const collect = (value: string, before: string[]): string[] => [...before, value]

function indices(text: string): number[] {
  const list = text.split(',').map(Number)
  if (list.some((n) => !Number.isInteger(n) || n < 0))
    throw new InvalidArgumentError('Give numbers such as 3,5.')
  return list
}

function count(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('Give a number from 1.')
  return number
}

/** The request that a view copied. @throws PatchbayError `input.invalid` where flags beside it would be ignored */
async function givenRequest(
  { request, tensors }: PatchOptions,
  command: Command,
): Promise<AskedWithTensors | null> {
  if (request === undefined) {
    if (tensors === undefined) return null
    throw new PatchbayError('input.invalid', 'No flag names a tensor, so --tensors would be ignored.', {
      next: 'Give --request JSON with the source {"kind":"tensor","tensors":{…}}.',
      field: '--tensors',
    })
  }
  const beside = flags.find((name) => command.getOptionValueSource(name) === 'cli')
  if (beside === undefined) return askedOf(request, tensors)
  throw new PatchbayError(
    'input.invalid',
    `--request says everything about the experiment, so --${beside} would be ignored.`,
    { next: 'Put it into the request, or leave the request out.', field: `--${beside}` },
  )
}

const flags: readonly (keyof PatchFlags)[] = [
  'clean',
  'corrupt',
  'component',
  'by',
  'layers',
  'dictionary',
  'features',
  'top',
  'direction',
  'align',
  'metric',
  'positive',
  'negative',
]

function checkModel(wanted: string | null, { fingerprint, name }: ModelDescription): void {
  if (wanted === null || fingerprint.startsWith(wanted)) return
  throw new PatchbayError(
    'input.invalid',
    `The request is for the model ${wanted.slice(0, 16)}, but ${name} is ${fingerprint.slice(0, 16)}.`,
    { next: 'Give --model with that fingerprint, or remove "model" from the request.', field: 'model' },
  )
}

type FileOf = (format: SweepFormat) => Uint8Array

/** @throws PatchbayError `input.invalid` for a file that can not be written of this kind of experiment */
function writerTo(out: string | undefined, kind: Asked['kind']): (file: FileOf) => Promise<void> {
  if (out === undefined) return () => Promise.resolve()
  const formats: readonly SweepFormat[] = kind === 'scrub' ? scrubFormats : sweepFormats
  const extension = path.extname(out).slice(1).toLowerCase()
  const format = formats.find((one) => one === extension)
  if (format !== undefined) return (file) => writeWhole(out, file(format))
  const what = kind === 'scrub' ? 'scrubbing check' : 'sweep'
  throw new PatchbayError('input.invalid', `A ${what} can not be written as ${JSON.stringify(extension)}.`, {
    next: `Give a file that ends in ${dotted(formats)}.`,
    field: '--out',
  })
}

/** The result as files, and what a terminal shows of it. */
interface Computed {
  file: FileOf
  print: () => void
}

async function computed(
  engine: Engine,
  model: string,
  asked: AskedWithTensors,
  signal: AbortSignal,
): Promise<Computed> {
  const { tensors } = asked
  const line = progressLine()
  const progress = (what: string) => ({
    signal,
    onProgress: ({ done, total }: { done: number; total: number }) =>
      line.show(`${what} ${done} of ${total}`, total === 0 ? 1 : done / total),
  })
  if (asked.kind === 'scrub') {
    const { request } = asked
    const result = await engine.call('sweep.scrub', { model, tensors, ...request }, progress('run'))
    line.clear()
    return {
      file: (format) => scrubFile(result, request, format === 'csv' ? 'csv' : 'json'),
      print: () => printScrub(result, request),
    }
  }
  const { request } = asked
  const result =
    asked.kind === 'paths'
      ? await engine.call('sweep.paths', { model, tensors, ...asked.request }, progress('sender'))
      : await engine.call('sweep.run', { model, tensors, ...request }, progress('site'))
  line.clear()
  const [pair] = request.pairs
  const ids = request.direction === 'noising' ? pair.clean : pair.corrupt
  const texts = (await engine.call('tokens.describe', { model, ids })).map(({ text }) => text)
  return {
    file: (format) => sweepFile(result, request, texts, format),
    print: () => printSweep(result, texts),
  }
}
