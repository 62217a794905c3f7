/** `patchbay collection …`: what was extracted from data sets: its table, searches in it, exports. */
import path from 'node:path'
import { Option, type Command } from 'commander'
import {
  collectionExports,
  exportTypes,
  type CollectionExport,
  type CollectionSummary,
  type ExportType,
} from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import type { Cell } from '../../../preload/datasets'
import { textCell } from '../../analysis/csv'
import type { Engine } from '../../engine/engine'
import { writeWhole } from '../../files/durable-file'
import { forTerminal } from '../output'
import { progressLine } from '../progress'
import { withEngine } from '../session'
import { addSearchOptions, searchInputOf, type SearchChoice } from './collection-search'
import { searchLines } from './collection-text'
import { wholeNumber } from './whole-number'

interface Json {
  json?: boolean
}
interface RowsChoice extends Json {
  where?: string
  sort?: string
  descending?: boolean
  offset: number
  count: number
}

export function addCollection(program: Command): void {
  const collection = program
    .command('collection')
    .description('What was extracted from data sets: tables, searches, exports.')
  const command = (usage: string, says: string): Command => collection.command(usage).description(says)
  command('ls', 'List the collections, the newest first.').option('--json', 'print JSON').action(list)
  command(
    'show <collection>',
    'Outputs, columns, labels and failures of one (by id, its beginning, or name).',
  )
    .option('--json', 'print JSON')
    .action(show)
  command('rows <collection>', 'A page of the table.')
    .option('--where <expression>', 'rows for which this holds, in SQLite’s language over the columns')
    .option('--sort <column>', 'by this column')
    .option('--descending', 'the highest first')
    .option('--offset <rows>', 'rows to skip', wholeNumber, 0)
    .option('--count <rows>', 'rows to show', wholeNumber, 20)
    .option('--json', 'print JSON')
    .action(rows)
  command('query <collection> <sql>', 'A SELECT over the table rows; prints CSV.')
    .option('--limit <rows>', 'rows at most', wholeNumber, 1000)
    .option('--json', 'print JSON')
    .action(query)
  addSearchOptions(command('search <collection>', 'Where something is most active.'))
    .option('--json', 'print JSON')
    .action(search)
  addSearchOptions(command('page <collection>', 'The same as one HTML file that needs nothing else.'))
    .option('--title <title>', 'its heading')
    .option('--out <file>', 'where to write it')
    .action(page)
  command('export <collection>', 'Write outputs into a new folder, with a Python program that loads them.')
    .addOption(
      new Option('--format <format>', 'of the files').choices(collectionExports).default('safetensors'),
    )
    .addOption(
      new Option(
        '--dtype <type>',
        'stored: float16 and bfloat16 as they are stored, where the format has them',
      )
        .choices(exportTypes)
        .default('float32'),
    )
    .requiredOption('--out <folder>', 'a folder that is not there yet')
    .option('-o, --output <names...>', 'outputs; all unless given')
    .option('--where <expression>', 'only rows for which this holds')
    .action(exportTo)
  command('label <collection>', 'Name or pin a collection, or note something about it.')
    .option('--name <name>', 'what to call it')
    .option('--note <text>', 'what to remember about it')
    .option('--pin', 'keep its values whatever the store’s quota says')
    .option('--no-pin', 'let them be evicted again')
    .action(label)
  command('rm <collection>', 'Remove a collection and its values.').action(remove)
}

/** The collection that is meant: by id, the beginning of one, or name. */
async function found(engine: Engine, wanted: string): Promise<CollectionSummary> {
  const all = await engine.call('collections.list', {})
  const exact = all.filter(({ id, name }) => id === wanted || name === wanted)
  const matches = exact.length > 0 ? exact : all.filter(({ id }) => id.startsWith(wanted))
  if (matches.length === 1) return matches[0]
  throw new PatchbayError(
    'input.invalid',
    matches.length === 0
      ? `There is no collection ${JSON.stringify(wanted)}.`
      : `${JSON.stringify(wanted)} may be ${matches.map(({ id }) => id).join(', ')}.`,
    { field: 'collection', next: 'Give the id that `patchbay collection ls` shows.' },
  )
}

const withCollection = (
  wanted: string,
  work: (engine: Engine, id: string, signal: AbortSignal) => Promise<void>,
): Promise<void> =>
  withEngine(async (engine, signal) => work(engine, (await found(engine, wanted)).id, signal))

const size = (bytes: number): string =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`

const list = (options: Json): Promise<void> =>
  withEngine(async (engine) => {
    const all = await engine.call('collections.list', {})
    if (options.json === true) return console.log(JSON.stringify(all))
    for (const { id, name, rows: count, bytes, modelName, pinned, complete } of all)
      console.log(
        `${id}  ${forTerminal(name)}  ${count} rows  ${size(bytes)}  ${forTerminal(modelName)}${pinned ? '  pinned' : ''}${complete ? '' : '  not complete'}`,
      )
    if (all.length === 0) console.log('There are no collections; `patchbay extract` makes one.')
  })

const show = (wanted: string, options: Json): Promise<void> =>
  withCollection(wanted, async (engine, id) => {
    const described = await engine.call('collections.describe', { id })
    if (options.json === true) return console.log(JSON.stringify(described))
    const { name, note, rows: count, tokens, bytes, provenance, failures, duplicates, labels } = described
    console.log(`${forTerminal(name)}  ${id}${note === '' ? '' : `\n${forTerminal(note)}`}`)
    console.log(`${count} rows, ${tokens} tokens, ${size(bytes)}; ${duplicates} duplicates left out`)
    console.log(
      `${forTerminal(provenance.modelName)} ${provenance.fingerprint.slice(0, 12)}…, ${provenance.precision} on ${provenance.provider}`,
    )
    for (const { name: output, dtype, dims, sizes, error } of described.outputs)
      console.log(
        `output  ${forTerminal(output)}  [${dims.map((dim, i) => `${dim}${sizes[i] === null ? '' : ` ${sizes[i]}`}`).join(', ')}]  ${dtype}${error === 0 ? '' : `, error ≤ ${error.toExponential(1)}`}`,
      )
    for (const column of described.columns) console.log(`column  ${forTerminal(column.name)}  ${column.type}`)
    for (const { label: each, rows: n } of labels.slice(0, 20))
      console.log(`label  ${forTerminal(each)}  ${n}`)
    for (const { row, error } of failures.slice(0, 20))
      console.log(`failed  row ${row}: ${forTerminal(error.message)}`)
    if (failures.length > 20) console.log(`… and ${failures.length - 20} more that failed`)
  })

const rows = (wanted: string, options: RowsChoice): Promise<void> =>
  withCollection(wanted, async (engine, id, signal) => {
    const { where: filter, offset, count } = options
    const sort =
      options.sort === undefined ? null : { column: options.sort, descending: options.descending === true }
    const answer = await engine.call('collections.rows', { id, filter, sort, offset, count }, { signal })
    if (options.json === true) return console.log(JSON.stringify(answer))
    for (const { row, label: each, tokens, text, present } of answer.rows)
      console.log(
        `${String(row).padStart(7)}  ${String(tokens).padStart(5)} tokens  ${forTerminal(each ?? '')}${present ? '' : '  (values missing)'}  ${forTerminal(text.slice(0, 200).replaceAll('\n', ' '))}`,
      )
    console.log(`${answer.total} rows${filter === undefined ? '' : ' fit'}`)
  })

const query = (wanted: string, sql: string, options: Json & { limit: number }): Promise<void> =>
  withCollection(wanted, async (engine, id, signal) => {
    const answer = await engine.call('collections.query', { id, sql, limit: options.limit }, { signal })
    if (options.json === true) return console.log(JSON.stringify(answer))
    console.log(answer.columns.map(textCell).join(','))
    for (const row of answer.rows) console.log(row.map(csvCell).join(','))
    if (answer.more) console.error(`… there are more than ${options.limit} rows`)
  })

const csvCell = (value: Cell): string =>
  value === null ? '' : typeof value === 'string' ? textCell(forTerminal(value)) : String(value)

/** Shows how far a call is. */
function following() {
  const line = progressLine()
  return {
    onProgress: ({ done, total }: { done: number; total: number }) =>
      line.show(`${done} of ${total}`, total === 0 ? 1 : done / total),
    clear: () => line.clear(),
  }
}

const search = (wanted: string, options: SearchChoice & Json): Promise<void> =>
  withCollection(wanted, async (engine, id, signal) => {
    const line = following()
    const input = await searchInputOf(id, options)
    const result = await engine.call('collections.search', input, { signal, onProgress: line.onProgress })
    line.clear()
    if (options.json === true)
      return console.log(
        JSON.stringify(result, (_, value: unknown) =>
          ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value,
        ),
      )
    for (const text of searchLines(result)) console.log(text)
  })

const page = (wanted: string, options: SearchChoice & { title?: string; out?: string }): Promise<void> =>
  withCollection(wanted, async (engine, id, signal) => {
    const line = following()
    const input = { ...(await searchInputOf(id, options)), title: options.title }
    const { name, html } = await engine.call('collections.page', input, {
      signal,
      onProgress: line.onProgress,
    })
    line.clear()
    const file = path.resolve(options.out ?? name)
    await writeWhole(file, html)
    console.log(file)
  })

const exportTo = (
  wanted: string,
  options: { format: CollectionExport; dtype: ExportType; out: string; output?: string[]; where?: string },
): Promise<void> =>
  withCollection(wanted, async (engine, id, signal) => {
    const { format, dtype, where: filter } = options
    const folder = path.resolve(options.out)
    const described = await engine.call('collections.describe', { id })
    const outputs = options.output ?? described.outputs.map(({ name }) => name)
    const line = following()
    const { files, python } = await engine.call(
      'collections.export',
      { id, outputs, filter, format, dtype, folder },
      { signal, onProgress: line.onProgress },
    )
    line.clear()
    for (const { name, bytes } of files) console.log(`${name}  ${size(bytes)}`)
    console.log(`\n${python}`)
  })

const label = (wanted: string, options: { name?: string; note?: string; pin?: boolean }): Promise<void> =>
  withCollection(wanted, async (engine, id) => {
    const { name, note, pin } = options
    const summary = await engine.call('collections.label', { id, name, note, pinned: pin })
    console.log(`${summary.id}  ${forTerminal(summary.name)}${summary.pinned ? '  pinned' : ''}`)
  })

const remove = (wanted: string): Promise<void> =>
  withCollection(wanted, async (engine, id) => {
    await engine.call('collections.remove', { id })
    console.log(`${id} and its values are removed`)
  })
