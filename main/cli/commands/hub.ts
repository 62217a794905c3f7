/** `patchbay hub …`: search, download and list models of a Hugging Face–compatible hub. */
import { Option, type Command } from 'commander'
import type { DownloadPlan } from '../../../preload/hub'
import { weightFormats } from '../../../preload/hub'
import { forTerminal } from '../output'
import { progressLine } from '../progress'
import { withEngine } from '../session'

export function addHub(program: Command): void {
  const hub = program.command('hub').description('Models by name, from the hub that HF_ENDPOINT names.')
  hub
    .command('search <words...>')
    .addOption(new Option('--format <format>', 'only models with such weights').choices(weightFormats))
    .option('--json', 'print JSON')
    .action(search)
  hub
    .command('download <repository>')
    .description('Show files, size and licence, then fetch what is missing; goes on where it broke off.')
    .option('--revision <revision>', 'a branch, tag or commit', 'main')
    .option('--weights <file>', 'which of several sets of weights')
    .option('--plan', 'only show what would be fetched')
    .action(download)
  hub
    .command('list')
    .description('Models in the cache of this machine.')
    .option('--json', 'print JSON')
    .action(list)
}

async function search(
  words: string[],
  options: { format?: (typeof weightFormats)[number]; json?: boolean },
): Promise<void> {
  await withEngine(async (engine, signal) => {
    const query = words.join(' ')
    const models = await engine.call('hub.search', { query, format: options.format ?? null }, { signal })
    if (options.json === true) return console.log(JSON.stringify(models))
    for (const { repoId, downloads, licence, formats, support } of models) {
      const opens = support.canOpen === 'yes' ? '' : `  (${support.reason ?? support.canOpen})`
      console.log(
        `${repoId}  ${downloads} downloads  ${forTerminal(licence ?? 'no licence said')}  ${formats.join(', ')}${forTerminal(opens)}`,
      )
    }
  })
}

async function download(
  repoId: string,
  options: { revision: string; weights?: string; plan?: boolean },
): Promise<void> {
  await withEngine(async (engine, signal) => {
    const request = { repoId, revision: options.revision, weights: options.weights ?? null }
    const plan = await engine.call('hub.plan', request, { signal })
    showPlan(plan)
    if (options.plan === true) return
    const line = progressLine()
    const done = await engine.call('hub.download', plan, {
      signal,
      onProgress: ({ phase, file, done: bytes, total }) =>
        line.show(`${phase} ${file ?? ''}`, total === 0 ? 1 : bytes / total),
    })
    line.clear()
    console.log(done.path)
  })
}

function showPlan({
  repoId,
  commit,
  files,
  bytesToFetch,
  totalBytes,
  licence,
  support,
  choices,
  weights,
}: DownloadPlan): void {
  const licenceName = licence.name ?? licence.id ?? 'not said'
  console.error(`${repoId} at ${commit.slice(0, 12)}, licence: ${forTerminal(licenceName)}`)
  console.error(
    `${files.length} files, ${megabytes(totalBytes)}, of which ${megabytes(bytesToFetch)} to fetch`,
  )
  if (support.reason !== null) console.error(forTerminal(support.reason))
  for (const choice of choices)
    if (choice.weights !== weights)
      console.error(`  also there: --weights ${forTerminal(choice.weights)}  ${megabytes(choice.bytes)}`)
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

async function list(options: { json?: boolean }): Promise<void> {
  await withEngine(async (engine) => {
    const { models, broken } = await engine.call('hub.cached', {})
    if (options.json === true) return console.log(JSON.stringify({ models, broken }))
    for (const { repoId, commit, format, bytes, path } of models)
      console.log(`${repoId}  ${commit.slice(0, 12)}  ${format}  ${megabytes(bytes)}  ${forTerminal(path)}`)
    for (const { folder, error } of broken)
      console.log(`${forTerminal(folder)}  ${forTerminal(error.message)}`)
  })
}
