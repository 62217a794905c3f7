/** `patchbay dataset …`: what is in a data file or folder, and the exact tokens that a model gets of its rows. */
import path from 'node:path'
import type { Command } from 'commander'
import type { DatasetReport, PreparedRow, RowFailure, RowPrompt } from '../../../preload/datasets'
import { displayText } from '../../../preload/token-text'
import { forTerminal } from '../output'
import { withEngine, withModel, type ModelOptions } from '../session'
import { datasetOf, whole, withDatasetOptions, withFormat } from './dataset-options'
import type { DatasetOptions, SourceOptions } from './dataset-options'
import { withModelOptions } from './model-option'

interface Json {
  json?: boolean
}
type PreviewOptions = DatasetOptions & ModelOptions & Json & { offset: number; count: number }

export function addDataset(program: Command): void {
  const dataset = program
    .command('dataset')
    .description('Data sets: JSON Lines, CSV, TSV, Parquet, Arrow, plain text, folders of them.')
  withFormat(dataset.command('inspect <path>'))
    .description('Format, columns and first rows, and what to begin with.')
    .option('--json', 'print JSON')
    .action(inspect)
  withModelOptions(withDatasetOptions(dataset.command('preview <path>')))
    .description('The exact tokens of some rows.')
    .option('--offset <n>', 'selected rows before the first one shown', whole, 0)
    .option('--count <n>', 'rows that are shown, at most 100', whole, 10)
    .option('--json', 'print JSON')
    .action(preview)
}

async function inspect(given: string, options: SourceOptions & Json): Promise<void> {
  await withEngine(async (engine, signal) => {
    const source = { kind: 'file', path: path.resolve(given), format: options.format } as const
    const report = await engine.call('datasets.inspect', { source }, { signal })
    if (options.json === true) return console.log(JSON.stringify(report))
    printReport(report)
  })
}

async function preview(given: string, options: PreviewOptions): Promise<void> {
  const dataset = await datasetOf(given, options)
  await withModel(options, async (engine, { handle }, signal) => {
    const { offset, count } = options
    const found = await engine.call('datasets.preview', { model: handle, dataset, offset, count }, { signal })
    if (options.json === true) return console.log(JSON.stringify(found))
    found.rows.forEach(printRow)
    found.failures.forEach(printFailure)
    if (found.rows.length + found.failures.length === 0) console.log('No rows there.')
  })
}

function printReport({ format, files, columns, rows, head, failures, suggested }: DatasetReport): void {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  const some = files.length === 1 ? 'one file' : `${files.length} files`
  console.log(`${format}, ${some}, ${(bytes / 1e6).toFixed(1)} MB, ${rows ?? 'an unknown number of'} rows`)
  for (const { name, type, empty, distinct, examples } of columns) {
    const facts = [
      type,
      ...(distinct === null ? [] : [`${distinct} different`]),
      ...(empty === 0 ? [] : [`${empty} empty`]),
    ]
    console.log(`  ${displayText(name)}  (${facts.join(', ')})  ${displayText(examples[0] ?? '', short)}`)
  }
  const [first] = head
  if (first !== undefined)
    console.log(`first row: ${displayText(JSON.stringify(first), { spaces: false, longest: 500 })}`)
  failures.slice(0, 5).forEach(printFailure)
  if (suggested.prompt !== null) console.log(`prompt: ${promptText(suggested.prompt)}`)
  if (suggested.label !== null) console.log(`label: --label ${displayText(suggested.label)}`)
}

const short = { spaces: false, longest: 60 }

const promptText = (prompt: RowPrompt): string =>
  'column' in prompt ? `--${prompt.kind} ${displayText(prompt.column)}` : prompt.kind

function printRow({ row, tokens, label, span, truncated }: PreparedRow): void {
  const cut = truncated === 0 ? '' : `, ${truncated} cut off`
  const of = label === null ? '' : `, ${displayText(label, short)}`
  console.log(`row ${row}: ${tokens.length} tokens${cut}${of}`)
  const texts = tokens.map(({ text, id, origin }, position) => {
    const shown = text === '' ? `#${id}` : displayText(text, { longest: 40 })
    const inside = span !== null && position >= span[0] && position < span[1]
    const plain = origin === 'text' ? shown : `<${shown}>`
    return inside ? `[${plain}]` : plain
  })
  console.log(`  ${texts.join(' ')}`)
}

function printFailure({ row, error }: RowFailure): void {
  console.log(`row ${row} can not be used: ${forTerminal(error.message)}`)
}
