/** What the hub says about a repository at a revision: its commit, its files with their sizes and hashes, its licence. */
import { z } from 'zod'
import { isRepoFile, type DownloadPlan } from '../../../preload/hub'
import { untrusted } from './failures'
import { addressOf, type Connection } from './net/connection'
import { exchange } from './net/exchange'
import { withRetries } from './net/retry'
import { fetchJson } from './net/whole-body'

const optionalText = z.string().max(500).nullish().catch(null)
const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)

const sibling = z.looseObject({
  rfilename: z.string(),
  size: size.nullish(),
  blobId: z.string().nullish(),
  lfs: z.looseObject({ sha256: z.string(), size }).nullish(),
})
const cardData = z.looseObject({
  license: z
    .union([z.string(), z.array(z.string())])
    .nullish()
    .catch(null),
  license_name: optionalText,
  license_link: optionalText,
})
const modelInfo = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  gated: z.union([z.boolean(), z.string()]).nullish(),
  tags: z.array(z.string()).nullish().catch(null),
  cardData: cardData.nullish().catch(null),
  gguf: z.looseObject({ architecture: optionalText }).nullish().catch(null),
  siblings: z.array(sibling).max(100_000),
})
type ModelInfo = z.infer<typeof modelInfo>

/** A file of a repository; what the hub's listing leaves out is null. */
export interface ListedFile {
  name: string
  bytes: number | null
  /** sha256, or git's sha1 of a blob. */
  hash: string | null
}

export interface Repository {
  id: string
  commit: string
  /** By name; those whose names are not safe are left out. */
  files: ReadonlyMap<string, ListedFile>
  gated: boolean
  licence: DownloadPlan['licence']
  ggufArchitecture: string | null
}

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

/** Where a file's content is had. */
export const fileAddress = (
  endpoint: URL,
  repository: Pick<Repository, 'id' | 'commit'>,
  name: string,
): URL => addressOf(endpoint, `/${repository.id}/resolve/${repository.commit}/${encoded(name)}`)

/**
 * Asks for a repository's listing.
 * @throws PatchbayError `file.missing` for an unknown one, `file.unreadable` for a private one, and as `exchange` does
 */
export async function readRepository(
  connection: Connection,
  id: string,
  revision: string,
  signal?: AbortSignal,
): Promise<Repository> {
  const url = addressOf(
    connection.endpoint,
    `/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`,
  )
  const info = await fetchJson(connection, { url, what: `the model ${id} (${revision})`, signal }, modelInfo)
  const files = new Map<string, ListedFile>()
  for (const { rfilename: name, size, blobId, lfs } of info.siblings) {
    if (!isRepoFile(name)) continue
    const hash = lfs?.sha256 ?? blobId ?? null
    files.set(name, { name, bytes: lfs?.size ?? size ?? null, hash: isHash(hash) ? hash : null })
  }
  return {
    id,
    commit: info.sha,
    files,
    gated: info.gated !== undefined && info.gated !== null && info.gated !== false,
    licence: licenceOf(info),
    ggufArchitecture: info.gguf?.architecture ?? null,
  }
}

const isHash = (text: string | null): text is string =>
  text !== null && /^(?:[0-9a-f]{64}|[0-9a-f]{40})$/.test(text)

/** The model card's word, else the tag that the hub makes of it. */
function licenceOf({ cardData, tags }: ModelInfo): DownloadPlan['licence'] {
  const stated = [cardData?.license ?? []].flat().join(', ')
  const tagged = tags?.find((tag) => tag.startsWith('license:'))?.slice('license:'.length)
  const id = (stated || tagged)?.slice(0, 500) ?? null
  return { id, name: cardData?.license_name ?? null, link: cardData?.license_link ?? null }
}

/**
 * Completes a file's size and hash: from the listing, else from the headers with which the hub answers about the file
 * (`X-Linked-Etag` and `X-Linked-Size` for large ones, which it keeps elsewhere).
 * @throws PatchbayError `file.malformed` where the hub names no hash that content can be checked against
 */
export async function describeFile(
  connection: Connection,
  repository: Repository,
  file: ListedFile,
  signal?: AbortSignal,
): Promise<{ name: string; bytes: number; hash: string }> {
  const { name } = file
  if (file.bytes !== null && file.hash !== null) return { name, bytes: file.bytes, hash: file.hash }
  const ask = {
    url: fileAddress(connection.endpoint, repository, name),
    what: `${name} of ${repository.id}`,
    method: 'HEAD' as const,
    stay: true,
    signal,
  }
  const answer = await withRetries(connection, signal, () => exchange(connection, ask))
  answer.close()
  const hash = etagOf(answer.said('x-linked-etag') ?? answer.headers.get('etag'))
  const bytes = Number(answer.said('x-linked-size') ?? answer.headers.get('content-length') ?? NaN)
  if (!isHash(hash) || !Number.isSafeInteger(bytes) || bytes < 0)
    throw untrusted(`${connection.endpoint.host} does not say the size and hash of ${ask.what}.`, {
      next: 'Use a hub that does: without a hash a download can not be checked.',
    })
  return { name, bytes, hash }
}

/** What stands in an ETag, weak or strong. */
export const etagOf = (header: string | null): string | null =>
  header === null ? null : header.replace(/^W\//, '').replace(/^"|"$/g, '')
