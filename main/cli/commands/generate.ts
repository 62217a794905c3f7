/** `patchbay generate`: continue a prompt, plainly or steered by a preset (then beside the unsteered continuation). */
import { InvalidArgumentError, type Command } from 'commander'
import type { PromptSpecInput } from '../../../preload/prompt'
import { sampling, type Sampling } from '../../../preload/run'
import { invalidInput } from '../../engine/dispatch'
import { forTerminal } from '../output'
import { withModel, type ModelOptions } from '../session'
import { withModelOptions } from './model-option'

interface GenerateOptions extends ModelOptions {
  prompt: string
  chat?: boolean
  system?: string
  preset?: string
  strength?: number
  maxTokens: number
  temperature: number
  topK: number
  topP: number
  minP: number
  repetitionPenalty: number
  seed: number
  stop: string[]
  json?: boolean
}

const number = (text: string): number => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Not a number.')
  return value
}

export function addGenerate(program: Command): void {
  withModelOptions(program.command('generate'))
    .description('Continue a prompt; with --preset, baseline and steered with the same seed.')
    .requiredOption('-p, --prompt <text>', 'the prompt')
    .option('--chat', "send it as the user's turn through the model's chat template")
    .option('--system <text>', 'a system message, with --chat')
    .option('--preset <id>', 'a steering preset (see `patchbay models --presets`)')
    .option('--strength <s>', "its strength; the preset's own where not given", number)
    .option('-n, --max-tokens <n>', 'how many tokens at most', number, 48)
    .option('-t, --temperature <t>', '0 is greedy', number, 0)
    .option('--top-k <k>', 'keep the k likeliest tokens; 0 keeps all', number, 0)
    .option('--top-p <p>', 'keep the likeliest tokens up to this probability', number, 1)
    .option('--min-p <p>', 'keep tokens of at least this share of the likeliest', number, 0)
    .option('--repetition-penalty <r>', 'above 1, tokens that occurred become less likely', number, 1)
    .option('--seed <n>', 'the same seed gives the same text', number, 0)
    .option(
      '--stop <text>',
      'end at this text; may be repeated',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option('--json', 'print one JSON object')
    .action(async (options: GenerateOptions) => {
      const settings = sampling.safeParse(options)
      if (!settings.success) throw invalidInput('The sampling options', settings.error)
      if (options.preset === undefined) await plain(options, settings.data)
      else await steered(options, options.preset, settings.data)
    })
}

const promptOf = (options: GenerateOptions): PromptSpecInput => {
  if (options.chat !== true) return { kind: 'text', text: options.prompt }
  const system = options.system === undefined ? [] : [{ role: 'system' as const, content: options.system }]
  return { kind: 'chat', messages: [...system, { role: 'user', content: options.prompt }] }
}

async function plain(options: GenerateOptions, settings: Sampling): Promise<void> {
  await withModel(options, async (engine, model, signal) => {
    const encoded = await engine.call(
      'prompt.encode',
      { model: model.handle, prompt: promptOf(options) },
      { signal },
    )
    const result = await engine.call(
      'generate.execute',
      {
        model: model.handle,
        request: {
          model: model.fingerprint,
          rows: [{ tokens: encoded.tokens.map(({ id }) => id) }],
          sampling: settings,
          maxTokens: options.maxTokens,
          stop: options.stop,
        },
      },
      { signal },
    )
    const [row] = result.rows
    if (options.json === true) console.log(JSON.stringify({ provenance: result.provenance, ...row }))
    else console.log(forTerminal(row.text))
  })
}

async function steered(options: GenerateOptions, id: string, settings: Sampling): Promise<void> {
  await withModel(options, async (engine, model, signal) => {
    const { presets } = await engine.call('preset.list', {}, { signal })
    const own = presets.find(({ preset }) => preset.id === id)?.preset.strength.default
    const result = await engine.call(
      'steer.compare',
      {
        model: model.handle,
        prompt: promptOf(options),
        preset: id,
        strength: options.strength ?? own ?? 1,
        sampling: settings,
        maxTokens: options.maxTokens,
        stop: options.stop,
      },
      { signal },
    )
    if (options.json === true) {
      console.log(JSON.stringify(result))
      return
    }
    console.log(`baseline: ${forTerminal(result.baselineText)}`)
    console.log(`steered:  ${forTerminal(result.steeredText)}`)
    const divergences = result.steps.flatMap(({ divergence }) => (divergence === null ? [] : [divergence]))
    const mean = divergences.reduce((sum, value) => sum + value, 0) / Math.max(1, divergences.length)
    console.log(
      `mean KL(steered ‖ unsteered): ${mean.toFixed(4)} nats a token over ${divergences.length} tokens`,
    )
  })
}
