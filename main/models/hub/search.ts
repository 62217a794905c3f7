/** Searching the hub's models by name. */
import { z } from 'zod'
import { isRepoId, type HubModel, type HubSearch, type Support } from '../../../preload/hub'
import { addressOf, type Connection } from './net/connection'
import { fetchJson } from './net/whole-body'
import { configSupport, ggufSupport, modelConfig, noWeights, notKnown, type ModelConfig } from './support'

const count = z.number().nonnegative().nullish().catch(null)
const shortText = z.string().max(500).nullish().catch(null)
const found = z.looseObject({
  id: z.string().refine(isRepoId),
  downloads: count,
  likes: count,
  lastModified: shortText,
  gated: z.union([z.boolean(), z.string()]).nullish().catch(null),
  private: z.boolean().nullish().catch(null),
  pipeline_tag: shortText,
  tags: z.array(z.string().max(500)).nullish().catch(null),
  config: modelConfig.nullish().catch(null),
})
type Found = z.infer<typeof found>

const sortKeys: Readonly<Record<HubSearch['sort'], string>> = {
  downloads: 'downloads',
  likes: 'likes',
  updated: 'lastModified',
  trending: 'trendingScore',
}

/**
 * Models whose name fits the query, as the hub orders them. An entry that a hub would not make is left out.
 * @throws PatchbayError `file.unreadable` offline or without a connection, `file.malformed` for an absurd answer
 */
export async function searchModels(
  connection: Connection,
  { query, limit, sort, format }: HubSearch,
  signal?: AbortSignal,
): Promise<HubModel[]> {
  const url = addressOf(connection.endpoint, '/api/models')
  const asked = {
    search: query,
    sort: sortKeys[sort],
    direction: '-1',
    limit: String(limit),
    full: 'true',
    config: 'true',
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
  if (format !== null) url.searchParams.set('filter', format)
  const answer = await fetchJson(
    connection,
    { url, what: 'models of this name', signal },
    z.array(z.unknown()),
  )
  return answer
    .slice(0, limit)
    .map((entry) => found.safeParse(entry))
    .flatMap((entry) => (entry.success ? [described(entry.data)] : []))
}

function described(model: Found): HubModel {
  const tags = model.tags ?? []
  const formats = (['safetensors', 'gguf'] as const).filter((name) => tags.includes(name))
  const updated = model.lastModified ?? null
  return {
    repoId: model.id,
    downloads: model.downloads ?? 0,
    likes: model.likes ?? 0,
    updated: updated === null || Number.isNaN(Date.parse(updated)) ? null : new Date(updated).toISOString(),
    gated: model.gated !== null && model.gated !== undefined && model.gated !== false,
    private: model.private ?? false,
    licence: tags.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null,
    modelType: model.config?.model_type ?? null,
    architectures: model.config?.architectures ?? [],
    formats,
    task: model.pipeline_tag ?? null,
    support: supportOf(formats, model.config ?? null),
  }
}

function supportOf(formats: HubModel['formats'], config: ModelConfig | null): Support {
  if (formats.includes('safetensors'))
    return (config?.model_type ?? null) === null
      ? notKnown('The hub does not say which architecture it has.')
      : configSupport(config)
  return formats.includes('gguf') ? ggufSupport(null) : noWeights
}
