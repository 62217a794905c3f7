/** `patchbay attribute`: where a prediction comes from, as text, JSON or a table. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import {
  directions,
  patchSites,
  type AttributionMetricInput,
  type PatchDirection,
  type PatchSite,
} from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { directCsv, patchingCsv, tokensCsv } from '../../analysis/attribution/csv'
import type { Engine } from '../../engine/engine'
import { writeWhole } from '../../files/durable-file'
import { directText, patchingText, tokensText } from '../attribution-text'
import { progressLine } from '../progress'
import { withModel, type ModelOptions } from '../session'
import { withModelOptions } from './model-option'

const metrics = ['logit', 'logit-difference', 'log-probability'] as const
const methods = ['direct', 'tokens', 'patching'] as const

interface AttributeOptions extends ModelOptions {
  prompt: string
  method: (typeof methods)[number]
  metric?: (typeof metrics)[number]
  token: string
  against?: string
  position?: number
  corrupt?: string
  direction: PatchDirection
  site: PatchSite[]
  baseline: 'zero' | 'mean'
  baselinePrompt?: string
  steps?: number
  gradientInput?: boolean
  neurons?: number
  format: 'text' | 'json' | 'csv'
  out?: string
}

export function addAttribute(program: Command): void {
  withModelOptions(program.command('attribute'))
    .description('Say which parts of the model, or of the prompt, a prediction comes from.')
    .requiredOption('-p, --prompt <text>', 'the prompt; the clean one where two are compared')
    .addOption(
      new Option(
        '--method <method>',
        'parts of the model, tokens of the prompt, or patching against --corrupt',
      )
        .choices(methods)
        .default('direct'),
    )
    .addOption(
      new Option('--metric <metric>', 'logit-difference where --against is given, else logit').choices(
        metrics,
      ),
    )
    .requiredOption('--token <text>', 'the token in question, such as " Mary", or id:1234')
    .option('--against <text>', 'the token that its logit is compared with')
    .option('--position <n>', 'position after which the logits are read; the last unless given', count)
    .option('--corrupt <text>', 'patching: the other prompt')
    .addOption(
      new Option('--direction <direction>', 'patching: which prompt is run')
        .choices(directions)
        .default('denoising'),
    )
    .addOption(
      new Option('--site <sites...>', 'patching: what is patched')
        .choices(patchSites)
        .default(['resid_pre', 'attn_out', 'mlp_out', 'z']),
    )
    .option('--gradient-input', 'tokens: gradient × input instead of integrated gradients')
    .addOption(
      new Option('--baseline <baseline>', 'tokens: where integrated gradients start')
        .choices(['zero', 'mean'])
        .default('zero'),
    )
    .option('--baseline-prompt <text>', 'tokens: start from another prompt of equal length')
    .option('--steps <n>', 'tokens: steps of integrated gradients', count)
    .option(
      '--neurons <n>',
      'direct: also the neurons of this layer; patching: how many neurons to list',
      count,
    )
    .addOption(
      new Option('--format <format>', 'how to print').choices(['text', 'json', 'csv']).default('text'),
    )
    .option('-o, --out <file>', 'write to this file instead')
    .action(async (options: AttributeOptions) => {
      await withModel(options, async (engine, { handle }, signal) => {
        const line = progressLine()
        const call = {
          signal,
          onProgress: ({ done, total }: { done: number; total: number }) =>
            line.show(options.method, done / total),
        }
        const text = await attribute(engine, handle, options, call).finally(() => line.clear())
        if (options.out === undefined) return void process.stdout.write(text)
        await writeWhole(options.out, new TextEncoder().encode(text))
        console.log(`written to ${options.out}`)
      })
    })
}

function count(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('Give a whole number.')
  return value
}

interface CallOptions {
  signal: AbortSignal
  onProgress: (progress: { done: number; total: number }) => void
}

async function attribute(
  engine: Engine,
  model: string,
  options: AttributeOptions,
  call: CallOptions,
): Promise<string> {
  const tokens = await encode(engine, model, options.prompt)
  const metric = await metricOf(engine, model, options)
  const describe = (ids: number[]) => engine.call('tokens.describe', { model, ids })
  const print = <T>(result: T, text: (result: T) => string, csv: (result: T) => string): string =>
    options.format === 'json' ? jsonOf(result) : options.format === 'csv' ? csv(result) : text(result)
  switch (options.method) {
    case 'direct': {
      if (metric.kind === 'log-probability')
        throw new PatchbayError('input.invalid', 'Parts add up to a logit, not to a log-probability.', {
          next: 'Use --metric logit, or logit-difference with --against.',
          field: 'metric',
        })
      const difference = metric.kind === 'logit-difference'
      const result = await engine.call(
        'attribution.direct',
        {
          model,
          tokens,
          positive: difference ? metric.positive : metric.token,
          negative: difference ? metric.negative : null,
          position: metric.position,
          neurons: options.neurons === undefined ? undefined : { layer: options.neurons },
        },
        call,
      )
      return print(result, directText, directCsv)
    }
    case 'tokens': {
      const { baselinePrompt } = options
      const result = await engine.call(
        'attribution.tokens',
        {
          model,
          tokens,
          metric,
          method: options.gradientInput === true ? 'gradient-input' : 'integrated-gradients',
          baseline:
            baselinePrompt === undefined
              ? { kind: options.baseline }
              : { kind: 'prompt', tokens: await encode(engine, model, baselinePrompt) },
          steps: options.steps,
        },
        call,
      )
      const infos = await describe(tokens)
      return print(
        result,
        (one) => tokensText(one, infos),
        (one) => tokensCsv(one, infos),
      )
    }
    case 'patching': {
      if (options.corrupt === undefined)
        throw new PatchbayError(
          'input.invalid',
          'Patching compares two prompts, and the second is missing.',
          {
            next: 'Give --corrupt TEXT.',
            field: 'corrupt',
          },
        )
      const { direction, site: sites, neurons } = options
      const corrupt = await encode(engine, model, options.corrupt)
      const result = await engine.call(
        'attribution.patching',
        { model, clean: tokens, corrupt, metric, direction, sites, neurons },
        call,
      )
      const infos = await describe(direction === 'noising' ? tokens : corrupt)
      return print(
        result,
        (one) => patchingText(one, infos),
        (one) => patchingCsv(one, infos),
      )
    }
  }
}

async function encode(engine: Engine, model: string, text: string): Promise<number[]> {
  const { tokens } = await engine.call('prompt.encode', { model, prompt: { kind: 'text', text } })
  return tokens.map(({ id }) => id)
}

async function metricOf(
  engine: Engine,
  model: string,
  { metric, token, against, position }: AttributeOptions,
): Promise<AttributionMetricInput> {
  const kind = metric ?? (against === undefined ? 'logit' : 'logit-difference')
  const id = await tokenOf(engine, model, token, 'token')
  if (kind !== 'logit-difference') return { kind, token: id, position }
  if (against === undefined)
    throw new PatchbayError(
      'input.invalid',
      'A logit difference is between two tokens, and the second is missing.',
      {
        next: 'Give --against TEXT, or use --metric logit.',
        field: 'against',
      },
    )
  return { kind, positive: id, negative: await tokenOf(engine, model, against, 'against'), position }
}

/** The one token that a text is, or the token with an id. */
async function tokenOf(engine: Engine, model: string, text: string, field: string): Promise<number> {
  const id = /^id:(\d{1,9})$/.exec(text)
  if (id !== null) return (await engine.call('tokens.describe', { model, ids: [Number(id[1])] }))[0].id
  const found = await engine.call('tokens.find', { model, text })
  if (found.length === 1) return found[0].id
  const parts = found.map((token) => JSON.stringify(token.text)).join(', ')
  throw new PatchbayError(
    'input.invalid',
    `${JSON.stringify(text)} is ${found.length} tokens of this model (${parts}), but a metric needs one.`,
    { next: 'Give a single token (mind the space before a word), or its id as id:1234.', field },
  )
}

/** JSON of a result: arrays of numbers as lists; NaN, which JSON does not have, as null. */
const jsonOf = (result: unknown): string =>
  `${JSON.stringify(result, (_, value: unknown) => (value instanceof Float32Array ? Array.from(value) : value))}\n`
