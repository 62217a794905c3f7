/** The options that say which rows a command works on and how they become prompts, the same in every command. */
import path from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { datasetFormats, datasetSpec, type DatasetFormat, type DatasetSpec } from '../../../preload/datasets'
import type { DatasetSpecInput } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { bosPolicies, type BosPolicy } from '../../../preload/prompt'
import { inspectSource } from '../../datasets'
import { invalidInput } from '../../engine/dispatch'

export interface SourceOptions {
  format?: DatasetFormat
}

export interface DatasetOptions extends SourceOptions {
  column?: string
  template?: string
  chat?: string
  messages?: string
  tokens?: string
  bos: BosPolicy
  label?: string
  spanColumn?: string
  marks?: string
  maxTokens?: number
  truncate: DatasetSpec['truncate']
  deduplicate?: boolean
  skip: number
  limit?: number
  sample?: number
}

export const withFormat = (command: Command): Command =>
  command.addOption(
    new Option('--format <format>', 'how the file is read; by its name and beginning unless given').choices(
      datasetFormats,
    ),
  )

export const withDatasetOptions = (command: Command): Command =>
  withFormat(command)
    .option('--column <name>', 'the column that is the prompt')
    .option('--template <text>', 'a prompt with {{column}} in it')
    .option('--chat <text>', 'a template that the model’s chat template gets as the user’s message')
    .option('--messages <column>', 'the column that holds a chat as JSON')
    .option('--tokens <column>', 'the column that holds token ids as JSON')
    .addOption(new Option('--bos <policy>', 'a BOS token in front').choices(bosPolicies).default('model'))
    .option('--label <column>', 'the column that says what a row is')
    .option('--span-column <column>', 'the column whose value is the span, where it stands in the prompt')
    .option('--marks <open,close>', 'marks around the span in the prompt, such as [[,]]')
    .option('--max-tokens <n>', 'longer rows are cut', whole)
    .addOption(
      new Option('--truncate <side>', 'where longer rows are cut')
        .choices(['left', 'right', 'refuse'])
        .default('right'),
    )
    .option('--deduplicate', 'leave out rows with the tokens of an earlier one')
    .option('--skip <n>', 'rows before the first one used', whole, 0)
    .option('--limit <n>', 'rows that are used', whole)
    .option('--sample <seed>', 'draw that many rows at random, with this seed', whole)

/** @throws PatchbayError `input.invalid` where the options make no data set; the prompt is guessed where none is given */
export async function datasetOf(given: string, options: DatasetOptions): Promise<DatasetSpec> {
  const source = { kind: 'file', path: path.resolve(given), format: options.format } as const
  const spec: DatasetSpecInput = {
    source,
    prompt: promptOf(options) ?? (await guessed(source)),
    bos: options.bos,
    label: options.label ?? null,
    span: spanOf(options),
    maxTokens: options.maxTokens ?? null,
    truncate: options.truncate,
    deduplicate: options.deduplicate ?? false,
    skip: options.skip,
    limit: options.limit ?? null,
    sample: options.sample === undefined ? null : { seed: options.sample },
  }
  const parsed = datasetSpec.safeParse(spec)
  if (!parsed.success) throw invalidInput('The data set', parsed.error)
  return parsed.data
}

function promptOf(options: DatasetOptions): DatasetSpecInput['prompt'] | null {
  const { column, template, chat, messages, tokens } = options
  const given: DatasetSpecInput['prompt'][] = []
  if (column !== undefined) given.push({ kind: 'column', column })
  if (template !== undefined) given.push({ kind: 'template', template })
  if (chat !== undefined) given.push({ kind: 'chat', messages: [{ role: 'user', content: chat }] })
  if (messages !== undefined) given.push({ kind: 'messages', column: messages })
  if (tokens !== undefined) given.push({ kind: 'tokens', column: tokens })
  if (given.length <= 1) return given[0] ?? null
  throw new PatchbayError('input.invalid', 'A row becomes one prompt only.', {
    field: '--column',
    next: 'Give one of --column, --template, --chat, --messages and --tokens.',
  })
}

async function guessed(source: DatasetSpec['source']): Promise<DatasetSpec['prompt']> {
  const { suggested } = await inspectSource(source)
  if (suggested.prompt !== null) return suggested.prompt
  throw new PatchbayError('input.invalid', 'No column of the data set looks like a prompt.', {
    field: '--column',
    next: 'Give --column NAME or --template TEXT; `patchbay dataset inspect` lists the columns.',
  })
}

function spanOf({ spanColumn, marks }: DatasetOptions): DatasetSpecInput['span'] {
  if (spanColumn !== undefined) return { kind: 'column', column: spanColumn }
  if (marks === undefined) return null
  const [open, close, ...rest] = marks.split(',')
  if (open !== '' && close !== undefined && close !== '' && rest.length === 0)
    return { kind: 'marks', open, close }
  throw new PatchbayError('input.invalid', 'There have to be two marks.', {
    field: '--marks',
    next: 'Give them as OPEN,CLOSE, such as [[,]].',
  })
}

export function whole(text: string): number {
  const n = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(n)) return n
  throw new InvalidArgumentError('Give a whole number.')
}
