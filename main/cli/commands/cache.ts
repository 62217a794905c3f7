/** `patchbay cache …`: the activations on disk. */
import path from 'node:path'
import type { Command } from 'commander'
import { version } from '../../../package.json'
import { PatchbayError } from '../../../preload/errors'
import { ActivationStore } from '../../cache/store/store'
import type { StoredSet } from '../../cache/store/store'
import type { Match } from '../../cache/store/remove'
import { directories } from '../directories'
import { forTerminal } from '../output'
import { progressLine } from '../progress'
import { bytes } from './model-option'

interface StoreChoice {
  store?: string
}
interface Choice extends StoreChoice {
  set?: string
  model?: string
  row?: string
  output?: string
}
interface Json {
  json?: boolean
}

export function addCache(program: Command): void {
  const cache = program.command('cache').description('Activations on disk: what runs and jobs have stored.')
  const command = (usage: string, says: string): Command =>
    cache.command(usage).description(says).option('--store <folder>', 'another store than the app’s')
  const matching = (usage: string, says: string): Command =>
    command(usage, says)
      .option('--set <set>', 'what was stored under this name')
      .option('--model <fingerprint>', 'of models whose fingerprint begins so')
      .option('--row <key>', 'of the rows whose key begins so')
      .option('--output <name>', 'of this hook point')
  command('ls [set]', 'List the sets, or the entries of one.').option('--json', 'print JSON').action(list)
  command('verify', 'Read everything and say what is not as it was written; damaged entries are set aside.')
    .option('--json', 'print JSON')
    .action(verify)
  command('gc', 'Remove what is damaged, join small files, keep the quota.')
    .option('--quota <size>', 'what the store may take from now on, such as 50GB', bytes)
    .action(gc)
  matching('rm', 'Remove entries; at least one condition is needed.').action(remove)
  command('pin <set>', 'Keep a set whatever the quota says; name it or note something about it.')
    .option('--off', 'let it be evicted again')
    .option('--name <name>', 'what to call it')
    .option('--note <text>', 'what to remember about it')
    .action(pin)
  matching('export <file>', 'Write entries and their requests into one file, for another machine.').action(
    exportTo,
  )
  command('import <file>', 'Take in such a file, after checking all of it.')
    .option('--set <set>', 'store it under this name')
    .action(importFrom)
}

async function list(set: string | undefined, options: StoreChoice & Json): Promise<void> {
  await withStore(options, async (store) => {
    if (set !== undefined) return listEntries(store, set, options)
    const sets = await store.list()
    const statistics = store.statistics()
    if (options.json === true) return console.log(JSON.stringify({ ...statistics, sets }))
    for (const each of sets) console.log(lineOf(each))
    const { entries, bytes: size, quota, damaged, foreign } = statistics
    console.log(`${entries} entries, ${gigabytes(size)} of ${gigabytes(quota)}`)
    if (damaged > 0) console.log(`${damaged} found damaged and set aside (patchbay cache gc removes them)`)
    if (foreign > 0) console.log(`${foreign} files of a newer Patchbay, left alone`)
  })
}

const lineOf = ({ set, label, entries, bytes: size, lastUsed }: StoredSet): string => {
  const name = label.name === undefined ? '' : `  ${forTerminal(label.name)}`
  const note = label.note === undefined ? '' : `  (${forTerminal(label.note)})`
  return `${set.padEnd(24)}  ${String(entries).padStart(8)} entries  ${gigabytes(size).padStart(10)}  used ${lastUsed}${label.pinned ? '  pinned' : ''}${name}${note}`
}

async function listEntries(store: ActivationStore, set: string, options: Json): Promise<void> {
  for await (const { row, output, dtype, shape, error } of store.entries(set)) {
    if (options.json === true) console.log(JSON.stringify({ row, output, dtype, shape, error }))
    else {
      const loss =
        error.max === 0
          ? 'exact'
          : `error ≤ ${error.max.toExponential(1)} (${error.relative.toExponential(1)} of the largest)`
      console.log(`${row.slice(0, 12)}  ${forTerminal(output)}  ${dtype} [${shape.join(', ')}]  ${loss}`)
    }
  }
}

async function verify(options: StoreChoice & Json): Promise<void> {
  await withStore(options, async (store, signal) => {
    const line = progressLine()
    const report = await store.verify({
      signal,
      onProgress: (done, total) => line.show('reading', total === 0 ? 1 : done / total),
    })
    line.clear()
    if (options.json === true) console.log(JSON.stringify(report))
    else {
      console.log(`${report.entries} entries in ${report.shards} files, ${gigabytes(report.bytes)} read`)
      for (const { file, entry, problem } of report.damaged)
        console.log(
          `damaged: ${file}${entry === null ? '' : `  ${forTerminal(entry)}`}  ${forTerminal(problem)}`,
        )
    }
    if (report.damaged.length > 0) process.exitCode = 1
  })
}

async function gc(options: StoreChoice & { quota?: number }): Promise<void> {
  await withStore(options, async (store) => {
    const { damagedShards, rewrittenShards, joinedShards, evictedShards, bytesFreed } =
      await store.gc(options)
    console.log(
      `${evictedShards} files evicted, ${joinedShards} joined, ${damagedShards + rewrittenShards} cleared of damage, ${gigabytes(bytesFreed)} freed`,
    )
  })
}

async function remove(options: Choice): Promise<void> {
  const match = matchOf(options)
  if (Object.keys(match).length === 0)
    throw new PatchbayError('input.invalid', 'It is not said what to remove.', {
      next: 'Give --set, --model, --row or --output.',
    })
  await withStore(options, async (store) => {
    const { entries, removed, rewritten } = await store.remove(match)
    console.log(`${entries} entries removed (${removed} files; ${rewritten} rewritten without them)`)
  })
}

async function pin(
  set: string,
  options: StoreChoice & { off?: boolean; name?: string; note?: string },
): Promise<void> {
  await withStore(options, async (store) => {
    if (!(await store.list()).some((each) => each.set === set))
      throw new PatchbayError('input.invalid', `There is no set ${JSON.stringify(set)}.`, {
        next: 'See `patchbay cache ls`.',
      })
    const { name, note, off } = options
    await store.label(set, {
      pinned: off !== true,
      ...(name === undefined ? {} : { name }),
      ...(note === undefined ? {} : { note }),
    })
  })
}

async function exportTo(file: string, options: Choice): Promise<void> {
  await withStore(options, async (store, signal) => {
    const {
      entries,
      rows,
      bytes: size,
    } = await store.exportBundle(path.resolve(file), matchOf(options), { signal })
    console.log(`${entries} entries of ${rows} rows, ${gigabytes(size)}, written to ${file}`)
  })
}

async function importFrom(file: string, options: StoreChoice & { set?: string }): Promise<void> {
  await withStore(options, async (store, signal) => {
    const line = progressLine()
    const { set, stored, present } = await store.importBundle(path.resolve(file), {
      set: options.set,
      signal,
      onProgress: (done, total) => line.show('storing', done / total),
    })
    line.clear()
    console.log(`${stored} entries stored as ${set}, ${present} were there already`)
  })
}

const matchOf = ({ set, model, row, output }: Choice): Match => ({
  ...(set === undefined ? {} : { set }),
  ...(model === undefined ? {} : { model }),
  ...(row === undefined ? {} : { row }),
  ...(output === undefined ? {} : { output }),
})

/** Opens the store for one command, cancelled by Ctrl+C, closed at the end. */
async function withStore<T>(
  { store: folder }: StoreChoice,
  work: (store: ActivationStore, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const store = await ActivationStore.open(folder ?? activationsFolder(), {
    producer: `patchbay ${version}`,
    onWait: ({ pid }) => console.error(`Waiting for process ${pid}, which writes to the store …`),
  })
  const controller = new AbortController()
  const interrupt = (): void =>
    controller.abort(new PatchbayError('run.cancelled', 'Interrupted; nothing half-written was kept.'))
  process.once('SIGINT', interrupt)
  try {
    return await work(store, controller.signal)
  } finally {
    process.off('SIGINT', interrupt)
    await store.close()
  }
}

const activationsFolder = (): string => path.join(directories().dataDir, 'activations')

const gigabytes = (size: number): string =>
  Math.abs(size) < 1e8 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`
