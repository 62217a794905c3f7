/** `patchbay patch`: the exact effect of patching one component after another, from one prompt into another. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { directions, type PatchDirection } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import {
  sweepAxes,
  sweepComponents,
  sweepRequest,
  type SweepAxis,
  type SweepComponent,
  type SweepMetricInput,
  type SweepRequest,
  type SweepResult,
} from '../../../preload/sweep'
import { sweepFile, sweepFormats, type SweepFormat } from '../../analysis/patching/export'
import { invalidInput } from '../../engine/dispatch'
import type { Engine } from '../../engine/engine'
import { writeWhole } from '../../files/durable-file'
import { forTerminal } from '../output'
import { progressLine } from '../progress'
import { withModel, type ModelOptions } from '../session'
import { withModelOptions } from './model-option'

interface PatchOptions extends ModelOptions {
  clean?: string
  corrupt?: string
  request?: string
  component: SweepComponent
  by: SweepAxis[]
  layers?: number[]
  dictionary?: string
  features?: number[]
  top?: number
  direction: PatchDirection
  align?: boolean
  metric: SweepMetricInput['kind']
  positive: string[]
  negative: string[]
  out?: string
  json?: boolean
}

const metricKinds = ['logit-difference', 'log-probability', 'probability', 'rank', 'kl'] as const

export function addPatch(program: Command): void {
  withModelOptions(program.command('patch'))
    .description('Patch activations of one prompt into another, one component after another.')
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
    .option('--request <json or file>', 'a sweep request, as the views copy it, instead of the above')
    .option(
      '-o, --out <file>',
      `write the values to this file (${sweepFormats.map((one) => `.${one}`).join(', ')})`,
    )
    .option('--json', 'print one JSON object')
    .action(async (options: PatchOptions) => {
      const format = options.out === undefined ? null : formatOf(options.out)
      await withModel(options, async (engine, { handle }, signal) => {
        const request = await requestOf(options, engine, handle)
        const line = progressLine()
        const result = await engine.call(
          'sweep.run',
          { model: handle, ...request },
          {
            signal,
            onProgress: ({ done, total }) =>
              line.show(`site ${done} of ${total}`, total === 0 ? 1 : done / total),
          },
        )
        line.clear()
        const [pair] = request.pairs
        const base = request.direction === 'noising' ? pair.clean : pair.corrupt
        const tokens = await engine.call('tokens.describe', { model: handle, ids: base })
        const texts = tokens.map(({ text }) => text)
        if (options.out !== undefined && format !== null)
          await writeWhole(options.out, sweepFile(result, request, texts, format))
        if (options.json === true) process.stdout.write(sweepFile(result, request, texts, 'json'))
        else print(result, texts, options.out)
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

function formatOf(file: string): SweepFormat {
  const extension = path.extname(file).slice(1).toLowerCase()
  const format = sweepFormats.find((one) => one === extension)
  if (format !== undefined) return format
  throw new PatchbayError('input.invalid', `A sweep can not be written as ${JSON.stringify(extension)}.`, {
    next: `Give a file that ends in ${sweepFormats.map((one) => `.${one}`).join(', ')}.`,
    field: '--out',
  })
}

async function requestOf(options: PatchOptions, engine: Engine, model: string): Promise<SweepRequest> {
  const parsed = sweepRequest.safeParse(
    options.request === undefined ? await built(options, engine, model) : await given(options.request),
  )
  if (!parsed.success) throw invalidInput('The sweep', parsed.error)
  return parsed.data
}

async function given(text: string): Promise<unknown> {
  const json = text.trimStart().startsWith('{') ? text : await readFile(text, 'utf8')
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new PatchbayError('input.invalid', 'The request is not JSON.', {
      next: 'Copy it again from the view.',
      cause,
    })
  }
}

async function built(options: PatchOptions, engine: Engine, model: string): Promise<unknown> {
  const { clean, corrupt, component, by, layers, dictionary, features, top, direction, metric } = options
  if (clean === undefined || corrupt === undefined)
    throw new PatchbayError('prompt.empty', 'Patching needs two prompts.', {
      next: 'Give --clean TEXT and --corrupt TEXT, or --request JSON.',
    })
  if (dictionary === undefined && (features !== undefined || top !== undefined))
    throw new PatchbayError('input.invalid', 'Features are of a dictionary, and none was given.', {
      next: 'Give --dictionary FOLDER.',
      field: '--dictionary',
    })
  const encode = async (text: string): Promise<number[]> => {
    const { tokens } = await engine.call('prompt.encode', { model, prompt: { kind: 'text', text } })
    return tokens.map(({ id }) => id)
  }
  const token = async (text: string): Promise<number> => {
    const found = await engine.call('tokens.find', { model, text })
    if (found.length === 1) return found[0].id
    throw new PatchbayError(
      'input.invalid',
      `${JSON.stringify(text)} is ${found.length} tokens of this model.`,
      {
        next: 'Give a text that is one token; most begin with a space.',
        field: '--positive',
      },
    )
  }
  const positive = await Promise.all(options.positive.map(token))
  const negative = await Promise.all(options.negative.map(token))
  if (metric !== 'kl' && positive.length === 0)
    throw new PatchbayError('input.invalid', `The metric ${metric} needs an answer.`, {
      next: 'Give --positive TEXT (and --negative TEXT for a difference).',
      field: '--positive',
    })
  return {
    pairs: [
      {
        clean: await encode(clean),
        corrupt: await encode(corrupt),
        ...(options.align === true ? { alignment: 'auto' } : {}),
      },
    ],
    direction,
    target:
      dictionary === undefined
        ? { kind: 'grid', component, by, layers }
        : { kind: 'features', dictionary: path.resolve(dictionary), by, features, top },
    metrics: [
      metric === 'logit-difference'
        ? { kind: metric, positive, negative }
        : { kind: metric, token: positive[0] },
    ],
  }
}

/** The two ends, and the sites with the largest effects. */
function print(
  { plan, raw, normalised, computed, unchanged, seconds, notes }: SweepResult,
  texts: string[],
  out?: string,
): void {
  const [{ clean, corrupt }] = plan.ends
  console.log(`clean ${clean.toFixed(4)}, corrupt ${corrupt.toFixed(4)}`)
  console.log(
    `${computed} sites run, ${unchanged} exact without a run, in ${seconds.toFixed(2)} s (${Math.round((computed + unchanged) / seconds)} sites/s)`,
  )
  const sites = raw.data.length / plan.ends.length
  const values = raw.data.subarray(0, sites)
  const score = (site: number): number => Math.abs(normalised[0]?.data[site] ?? values[site])
  const order = Array.from({ length: sites }, (_, i) => i).sort((a, b) => score(b) - score(a))
  for (const site of order.slice(0, 10)) {
    let rest = site
    const places = [...plan.axes].reverse().map(({ name, values: along }) => {
      const place = along[rest % along.length]
      rest = Math.floor(rest / along.length)
      return name === 'position'
        ? `position ${place} ${JSON.stringify(texts[place] ?? '')}`
        : `${name} ${place}`
    })
    const share = normalised[0] === null ? '' : `  ${normalised[0].data[site].toFixed(3).padStart(7)}`
    console.log(
      `  ${values[site].toFixed(4).padStart(9)}${share}  ${forTerminal(places.reverse().join(', '))}`,
    )
  }
  for (const note of notes) console.log(note)
  if (out !== undefined) console.log(`written to ${out}`)
}
