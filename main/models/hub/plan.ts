/** What a download would fetch, before a byte of weights is: files, sizes, licence, and whether the model can be opened. */
import { PatchbayError } from '../../../preload/errors'
import {
  isRepoFile,
  type DownloadPlan,
  type HubFile,
  type HubRequest,
  type Support,
  type WeightChoice,
} from '../../../preload/hub'
import { RepoCache, sizeOf } from './cache/layout'
import { isCached } from './cache/link'
import {
  ggufParts,
  indexSuffix,
  isCompanion,
  preferredChoice,
  shardNames,
  shardsOf,
  weightChoices,
} from './choose-files'
import { checkHash } from './digest'
import { hubCodes, untrusted } from './failures'
import type { Connection } from './net/connection'
import { fetchBytes, parseJsonBytes } from './net/whole-body'
import { describeFile, fileAddress, readRepository, type Repository } from './repository'
import { configSupport, ggufSupport, modelConfig, noWeights, notKnown, type ModelConfig } from './support'

/** Small JSON that is read to plan; an index of a very large model takes some MB. */
const largestConfig = 1 << 20
const largestIndex = 32 << 20

/** In place of a file that is hidden from who has not accepted the terms. */
const closed = Symbol('closed')
type Closed = typeof closed

/** More than the largest models have. */
const mostShards = 1900

/**
 * @param request which repository, revision and weights
 * @throws PatchbayError `file.missing` for an unknown repository, revision or set of weights; as `exchange` does
 */
export async function planDownload(
  connection: Connection,
  cache: string,
  request: HubRequest,
  signal?: AbortSignal,
): Promise<DownloadPlan> {
  const { repoId, revision } = request
  const repository = await readRepository(connection, repoId, revision, signal)
  const choices = weightChoices(repository.files)
  const chosen = choose(choices, request)
  const readSmall = (name: string, largest: number) => readJson(connection, repository, name, largest, signal)

  const config = chosen?.format === 'safetensors' ? await readConfig(repository, readSmall) : null
  const weights = chosen === null ? [] : await weightFiles(repository, chosen, readSmall)
  const absent = weights.filter((name) => !repository.files.has(name))
  const beside = chosen?.format === 'safetensors' ? [...repository.files.keys()].filter(isCompanion) : []
  const names =
    chosen === null ? [] : [...new Set([...beside, ...weights])].filter((name) => !absent.includes(name))
  const described = []
  for (const name of names)
    described.push(await describeFile(connection, repository, repository.files.get(name)!, signal))
  const { files, bytesToFetch } = await comparedWithCache(
    new RepoCache(cache, repoId),
    repository.commit,
    described,
  )

  return {
    repoId,
    revision,
    commit: repository.commit,
    choices: choices.slice(0, 1000),
    weights: chosen?.weights ?? null,
    files,
    totalBytes: files.reduce((sum, file) => sum + file.bytes, 0),
    bytesToFetch,
    licence: repository.licence,
    gated: repository.gated,
    modelType:
      config === null || config === closed ? repository.ggufArchitecture : (config.model_type ?? null),
    architectures: config === null || config === closed ? [] : (config.architectures ?? []),
    support: supportOf(repository, chosen, config, absent),
  }
}

function choose(choices: readonly WeightChoice[], { repoId, weights }: HubRequest): WeightChoice | null {
  if (weights === null) return preferredChoice(choices)
  const chosen = choices.find((choice) => choice.weights === weights)
  if (chosen !== undefined) return chosen
  throw new PatchbayError(hubCodes.missing, `${repoId} has no set of weights called ${weights}.`, {
    next:
      choices.length === 0
        ? noWeights.reason!
        : `It offers ${choices
            .slice(0, 10)
            .map((choice) => choice.weights)
            .join(', ')}.`,
    field: 'weights',
  })
}

/** A small JSON file of the repository, checked against its hash; closed where the terms are not accepted yet. */
async function readJson(
  connection: Connection,
  repository: Repository,
  name: string,
  largest: number,
  signal?: AbortSignal,
): Promise<unknown> {
  const what = `${name} of ${repository.id}`
  try {
    const file = await describeFile(connection, repository, repository.files.get(name)!, signal)
    const url = fileAddress(connection.endpoint, repository, name)
    const bytes = await fetchBytes(connection, { url, what, signal }, largest)
    checkHash(bytes, file.hash, what)
    return parseJsonBytes(bytes, what)
  } catch (error) {
    const refused = error instanceof PatchbayError && error.code === hubCodes.refused
    if (repository.gated && refused) return closed
    throw error
  }
}

type ReadSmall = (name: string, largest: number) => Promise<unknown>

async function readConfig(repository: Repository, read: ReadSmall): Promise<ModelConfig | Closed | null> {
  if (!repository.files.has('config.json')) return null
  const config = await read('config.json', largestConfig)
  if (config === closed) return closed
  const parsed = modelConfig.safeParse(config)
  if (parsed.success) return parsed.data
  throw untrusted(`config.json of ${repository.id} holds no object.`, { file: 'config.json' })
}

/** The files of a set of weights. Those of a sharded one stand in its index. */
async function weightFiles(
  repository: Repository,
  { weights, format }: WeightChoice,
  read: ReadSmall,
): Promise<string[]> {
  if (format === 'gguf') return ggufParts(weights)
  if (!weights.endsWith(indexSuffix)) return [weights]
  const index = await read(weights, largestIndex)
  if (index === closed) return [weights, ...shardsOf(repository.files, weights)]
  const shards = shardNames(index)
  if (shards === null || shards.length > mostShards || !shards.every(isShard))
    throw untrusted(`${weights} of ${repository.id} does not list safetensors files of its folder.`, {
      file: weights,
      field: 'weight_map',
      next: 'The repository is damaged or hostile; nothing was downloaded.',
    })
  return [weights, ...shards]
}

const isShard = (name: string): boolean => isRepoFile(name) && name.endsWith('.safetensors')

function supportOf(
  repository: Repository,
  chosen: WeightChoice | null,
  config: ModelConfig | Closed | null,
  absent: readonly string[],
): Support {
  if (chosen === null) return noWeights
  if (absent.length > 0)
    return {
      canOpen: 'no',
      reason: `${absent.length} files that its index names are not there, such as ${absent[0]}.`,
    }
  if (config === closed)
    return notKnown(
      `Accept the terms on the page of ${repository.id} and give your token in HF_TOKEN to see more.`,
    )
  return chosen.format === 'gguf' ? ggufSupport(repository.ggufArchitecture) : configSupport(config)
}

async function comparedWithCache(
  cache: RepoCache,
  commit: string,
  described: readonly Omit<HubFile, 'cached'>[],
): Promise<{ files: HubFile[]; bytesToFetch: number }> {
  const files: HubFile[] = []
  let bytesToFetch = 0
  for (const file of described) {
    const cached = await isCached(cache, commit, file)
    files.push({ ...file, cached })
    if (!cached) bytesToFetch += Math.max(0, file.bytes - ((await sizeOf(cache.partial(file.hash))) ?? 0))
  }
  return { files, bytesToFetch }
}
