/**
 * Models on a Hugging Face–compatible hub, and in the cache that Python's huggingface_hub shares: what a search finds,
 * what a download would fetch, how far it is, and what is already on the disk. Names in here become paths and addresses,
 * so their schemas are the guard against `..`, drive letters and device names.
 */
import { z } from 'zod'
import { wireError } from './errors'

const repoName = /^(?:\w(?:[\w.-]{0,94}\w)?\/)?\w(?:[\w.-]{0,94}\w)?$/

/** By the hub's own rules: `name` or `owner/name`, letters, digits, `-`, `_`, `.`, no `--`, no `..`, no `.git`. */
export const isRepoId = (id: string): boolean =>
  repoName.test(id) && !id.includes('--') && !id.includes('..') && !id.endsWith('.git')

const forbiddenInNames = /[\p{C}\\:*?"<>|]/u
const deviceName = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i

/** A path segment that means the same on every system and never leaves its folder. */
const isSegment = (segment: string): boolean =>
  segment !== '' &&
  segment.length <= 200 &&
  !/[. ]$/.test(segment) &&
  !forbiddenInNames.test(segment) &&
  !deviceName.test(segment)

/** A file's path inside its repository, with `/` between folders. */
export const isRepoFile = (name: string): boolean => name.length <= 1000 && name.split('/').every(isSegment)

/** A branch, a tag, `refs/pr/N` or a commit; it becomes a path below `refs/`. */
export const isRevision = (revision: string): boolean =>
  /^[\w.\-+/]{1,200}$/.test(revision) &&
  revision.split('/').every((part) => isSegment(part) && !part.startsWith('.'))

export const repoId = z.string().refine(isRepoId, 'is not the name of a repository (owner/name)')
export const repoFile = z.string().refine(isRepoFile, 'is not a file name that is safe on every system')
export const revision = z.string().refine(isRevision, 'is not a branch, tag or commit')
export const commitHash = z.string().regex(/^[0-9a-f]{40}$/, 'is not a commit')

/** How the cache names a file's content: sha256 for large files, git's sha1 (40 digits) for those kept in git itself. */
export const blobHash = z
  .string()
  .regex(/^(?:[0-9a-f]{64}|[0-9a-f]{40})$/, 'is neither a sha256 nor a git hash')

const bytes = z.number().int().nonnegative()
const shortText = z.string().max(500)

export const weightFormats = ['safetensors', 'gguf'] as const
export const hubSorts = ['downloads', 'likes', 'updated', 'trending'] as const

/** Whether Patchbay can open it, as far as can be said before the weights are there. `reason`: why not, or why not known. */
export const support = z.object({
  canOpen: z.enum(['yes', 'no', 'unknown']),
  reason: z.string().nullable(),
})
export type Support = z.infer<typeof support>

export const hubSearch = z.object({
  query: z.string().max(200),
  limit: z.number().int().min(1).max(100).default(20),
  sort: z.enum(hubSorts).default('downloads'),
  /** Only models that have weights in this format. */
  format: z.enum(weightFormats).nullable().default(null),
})
export type HubSearch = z.infer<typeof hubSearch>
export type HubSearchInput = z.input<typeof hubSearch>

export const hubModel = z.object({
  repoId,
  downloads: z.number().nonnegative(),
  likes: z.number().nonnegative(),
  /** ISO 8601; null where the hub does not say. */
  updated: z.string().nullable(),
  /** The owner asks for an agreement before files can be had. */
  gated: z.boolean(),
  private: z.boolean(),
  licence: shortText.nullable(),
  modelType: shortText.nullable(),
  architectures: z.array(shortText),
  formats: z.array(z.enum(weightFormats)),
  task: shortText.nullable(),
  support,
})
export type HubModel = z.infer<typeof hubModel>

export const hubRequest = z.object({
  repoId,
  revision: revision.default('main'),
  /** Which of the plan's `choices` to fetch; null: the plan chooses. */
  weights: repoFile.nullable().default(null),
})
export type HubRequest = z.infer<typeof hubRequest>
export type HubRequestInput = z.input<typeof hubRequest>

export const hubFile = z.object({
  name: repoFile,
  bytes,
  hash: blobHash,
  /** Lies in the cache already. */
  cached: z.boolean(),
})
export type HubFile = z.infer<typeof hubFile>

/** One of the sets of weights that a repository offers; `weights` is its only or first file, or its index. */
export const weightChoice = z.object({
  weights: repoFile,
  format: z.enum(weightFormats),
  files: z.number().int().positive(),
  bytes,
  /** `Q4_K_M`, `F16`, … as GGUF files have it in their name. */
  quantisation: z.string().nullable(),
})
export type WeightChoice = z.infer<typeof weightChoice>

export const licence = z.object({
  /** The hub's short name (`apache-2.0`, `llama3`, `other`); null where nothing is said. */
  id: shortText.nullable(),
  name: shortText.nullable(),
  /** An address, or a file of the repository. */
  link: shortText.nullable(),
})

/** What a download will do, shown before it begins. */
export const downloadPlan = z.object({
  repoId,
  revision,
  commit: commitHash,
  choices: z.array(weightChoice).max(1000),
  /** The chosen weights; null where the repository has none that may be opened. */
  weights: repoFile.nullable(),
  files: z.array(hubFile).max(2000),
  totalBytes: bytes,
  /** What of it is not in the cache yet; a partial file counts as far as it goes. */
  bytesToFetch: bytes,
  licence,
  gated: z.boolean(),
  modelType: shortText.nullable(),
  architectures: z.array(shortText),
  support,
})
export type DownloadPlan = z.infer<typeof downloadPlan>

export const downloadPhases = ['waiting', 'downloading', 'verifying', 'finishing'] as const

/** `waiting`: for another process that fetches the same file, or for a busy server. */
export const downloadProgress = z.object({
  phase: z.enum(downloadPhases),
  file: z.string().nullable(),
  /** Bytes of the whole plan, cached ones included. */
  done: z.number().nonnegative(),
  total: z.number().nonnegative(),
  /** Over the last seconds; null before anything came. */
  bytesPerSecond: z.number().nonnegative().nullable(),
  etaSeconds: z.number().nonnegative().nullable(),
})
export type DownloadProgress = z.infer<typeof downloadProgress>

export const downloadedModel = z.object({
  /** The snapshot folder in the cache. */
  folder: z.string(),
  /** What to open: that folder, or the GGUF file in it. */
  path: z.string(),
})
export type DownloadedModel = z.infer<typeof downloadedModel>

/** A model found in the cache, whoever put it there. */
export const cachedModel = z.object({
  repoId,
  commit: z.string(),
  /** Branches and tags that point to the commit. */
  refs: z.array(z.string()),
  folder: z.string(),
  path: z.string(),
  format: z.enum(weightFormats),
  /** Of the weights. */
  bytes,
  modelType: z.string().nullable(),
  architectures: z.array(z.string()),
  support,
  /** ISO 8601, of the newest file. */
  modified: z.string(),
})
export type CachedModel = z.infer<typeof cachedModel>

/** `broken`: folders of the cache that can not be read; they hide no model elsewhere. */
export const cachedModels = z.object({
  models: z.array(cachedModel),
  broken: z.array(z.object({ folder: z.string(), error: wireError })),
})
export type CachedModels = z.infer<typeof cachedModels>
