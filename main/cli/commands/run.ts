/** `patchbay run`: one forward pass, said as flags or as a RunRequest copied from a view. */
import type { Command } from 'commander'
import { PatchbayError } from '../../../preload/errors'
import { backward } from '../../../preload/metric'
import { runRequest, type RunRequestInput } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import { invalidInput } from '../../engine/dispatch'
import { checkSetId } from '../../cache/store/labels'
import type { Engine } from '../../engine/engine'
import { forTerminal, writeTensors } from '../output'
import { progressLine } from '../progress'
import { withModel, type ModelOptions } from '../session'
import { readJson, readTensors } from './given'
import { withModelOptions } from './model-option'

interface RunOptions extends ModelOptions {
  prompt?: string
  request?: string
  tensors?: string
  capture: string[]
  logits: 'none' | 'last' | 'all'
  metric?: string
  gradient: string[]
  out?: string
  json?: boolean
  top: string
  keep?: string
}

export function addRun(program: Command): void {
  withModelOptions(program.command('run'))
    .description('Run a prompt once; capture activations, print the next tokens.')
    .option('-p, --prompt <text>', 'the prompt (or give --request)')
    .option('--request <json or file>', 'a RunRequest, as the views copy it')
    .option('--tensors <file>', 'a .safetensors file with the tensors that the request names')
    .option('-c, --capture <hook>', 'a hook point to capture; may be repeated', collect, [])
    .option('--logits <which>', 'none, last or all positions', 'last')
    .option(
      '--metric <json or file>',
      'a number to differentiate, such as {"kind":"log-probability","token":5}',
    )
    .option('-g, --gradient <hook>', 'a hook point whose gradient is wanted; may be repeated', collect, [])
    .option('-o, --out <file>', 'write captures and logits to this .safetensors file')
    .option('--top <n>', 'how many next tokens to print', '10')
    .option('--keep <set>', 'store what is computed on disk under this name (see patchbay cache)')
    .option('--json', 'print one JSON object')
    .action(async (options: RunOptions) => {
      await withModel(options, async (engine, model, signal) => {
        const request = await buildRequest(options, engine, model.handle, model.fingerprint)
        const tensors = options.tensors === undefined ? {} : await readTensors(options.tensors)
        if (options.keep !== undefined) engine.activations.keep = { set: checkSetId(options.keep) }
        const line = progressLine()
        const result = await engine.call(
          'run.execute',
          { request, tensors, model: model.handle },
          { signal, onProgress: ({ done, total }) => line.show(`block ${done} of ${total}`, done / total) },
        )
        line.clear()
        if (options.out !== undefined) {
          const named = Object.entries(result.captures)
          if (result.logits !== null) named.push(['logits', result.logits])
          if (result.residual !== null) named.push(['residual', result.residual])
          if (result.metric !== null) named.push(['metric', result.metric])
          for (const gradients of [result.gradients, result.weightGradients])
            named.push(...Object.entries(gradients).map(([name, tensor]) => gradientNamed(name, tensor)))
          await writeTensors(
            options.out,
            named.map(([name, tensor]) => ({ name, ...tensor })),
            { provenance: JSON.stringify(result.provenance), request: JSON.stringify(request) },
          )
        }
        const next =
          result.logits === null
            ? []
            : await topTokens(engine, model.handle, result.logits, Number(options.top))
        const shapes = Object.entries(result.captures).map(([hook, { shape }]) => ({ hook, shape }))
        const gradients = Object.entries(result.gradients).map(([hook, { shape }]) => ({ hook, shape }))
        const metric = result.metric === null ? null : [...result.metric.data]
        if (options.json === true) {
          console.log(
            JSON.stringify({
              provenance: result.provenance,
              captures: shapes,
              sources: result.sources,
              metric,
              gradients,
              next,
              out: options.out ?? null,
            }),
          )
          return
        }
        for (const { hook, shape } of shapes)
          console.log(
            `${hook}  [${shape.join(', ')}]${result.sources?.[hook] === 'disk' ? '  from disk' : ''}`,
          )
        for (const { hook, shape } of gradients) console.log(`${GRADIENT}${hook}  [${shape.join(', ')}]`)
        if (metric !== null) console.log(`metric  ${metric.map((value) => value.toPrecision(6)).join('  ')}`)
        next.forEach((row, index) => {
          if (next.length > 1) console.log(`row ${index}`)
          for (const { text, probability, logit } of row)
            console.log(
              `  ${probability.toFixed(4)}  ${logit.toFixed(3).padStart(8)}  ${forTerminal(JSON.stringify(text))}`,
            )
        })
        if (options.out !== undefined) console.log(`written to ${options.out}`)
      })
    })
}

/** As the references call them. */
const GRADIENT = 'grad.'

const gradientNamed = (name: string, tensor: Tensor): [string, Tensor] => [`${GRADIENT}${name}`, tensor]

const collect = (value: string, before: string[]): string[] => [...before, value]

async function buildRequest(
  options: RunOptions,
  engine: Engine,
  model: string,
  fingerprint: string,
): Promise<RunRequestInput> {
  if (options.request !== undefined) {
    const { prompt, metric, capture, gradient } = options
    const given = Object.entries({ prompt, metric, capture, gradient }).find(
      ([, value]) => (value ?? []).length > 0,
    )
    if (given !== undefined)
      throw new PatchbayError(
        'input.invalid',
        `--request says everything about a run, so --${given[0]} would be ignored.`,
        {
          field: given[0],
          next: 'Put it into the request, or leave the request out.',
        },
      )
    return parseRequest(options.request)
  }
  if (options.prompt === undefined)
    throw new PatchbayError('prompt.empty', 'There is no prompt.', {
      next: 'Give --prompt TEXT or --request JSON.',
    })
  const encoded = await engine.call('prompt.encode', {
    model,
    prompt: { kind: 'text', text: options.prompt },
  })
  return {
    model: fingerprint,
    rows: [encoded.tokens.map(({ id }) => id)],
    captures: options.capture,
    logits: options.logits,
    backward: await backwardOf(options),
  }
}

async function backwardOf({ metric, gradient }: RunOptions): Promise<RunRequestInput['backward']> {
  if (metric !== undefined) {
    const parsed = backward.safeParse({ metric: await readJson(metric, 'The metric'), hooks: gradient })
    if (!parsed.success) throw invalidInput('The metric', parsed.error)
    return parsed.data
  }
  if (gradient.length === 0) return undefined
  throw new PatchbayError('input.invalid', 'There is nothing to differentiate: --gradient needs --metric.', {
    next: 'Say what the gradient is of, for example --metric \'{"kind":"cross-entropy"}\'.',
    field: 'metric',
  })
}

async function parseRequest(given: string): Promise<RunRequestInput> {
  const parsed = runRequest.safeParse(await readJson(given, 'The request'))
  if (!parsed.success) throw invalidInput('The request', parsed.error)
  return parsed.data
}

async function topTokens(engine: Engine, model: string, logits: Tensor, count: number) {
  const [rows, positions, vocabulary] = logits.shape
  const result = []
  for (let row = 0; row < rows; row++) {
    const start = (row * positions + positions - 1) * vocabulary
    const values = logits.data.subarray(start, start + vocabulary)
    const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a])
    const top = values[order[0]]
    let sum = 0
    for (const value of values) sum += Math.exp(value - top)
    const ids = order.slice(0, count)
    const tokens = await engine.call('tokens.describe', { model, ids })
    result.push(
      tokens.map((token) => ({
        ...token,
        logit: values[token.id],
        probability: Math.exp(values[token.id] - top) / sum,
      })),
    )
  }
  return result
}
