/**
 * Models from a Hugging Face–compatible hub, in the cache that Python's huggingface_hub shares. Everything about where
 * and as whom comes from the environment (HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, …).
 */
import type {
  CachedModels,
  DownloadPlan,
  DownloadedModel,
  HubModel,
  HubRequestInput,
  HubSearchInput,
} from '../../../preload/hub'
import { hubRequest, hubSearch } from '../../../preload/hub'
import { scanCache } from './cache/scan'
import { download, type DownloadOptions } from './download'
import { checkedInput } from './input'
import { defaultLimits, systemClock, type Clock, type Connection, type Limits } from './net/connection'
import { planDownload } from './plan'
import { searchModels } from './search'
import { cacheFolder, cacheFolders, isOffline, readEndpoint, readToken, type Environment } from './settings'

export type { DownloadOptions } from './download'

export interface HubOptions {
  /** Default: the process's. */
  env?: Environment
  /** Offline whatever the environment says. */
  offline?: boolean
  /** For tests. */
  fetch?: typeof fetch
  clock?: Clock
  limits?: Partial<Limits>
}

export interface Hub {
  /** Models by name, as the hub orders them. */
  searchModels(search: HubSearchInput, signal?: AbortSignal): Promise<HubModel[]>
  /** What a download would fetch: files, sizes, licence, whether Patchbay can open it. Fetches no weights. */
  planDownload(request: HubRequestInput, signal?: AbortSignal): Promise<DownloadPlan>
  /** Fetches what a plan lacks; where it was cancelled or broke off, the same plan goes on. */
  download(plan: DownloadPlan, options?: DownloadOptions): Promise<DownloadedModel>
  /** Models in the caches of this machine, the cache for downloads first. Needs no network. */
  listCached(): Promise<CachedModels>
}

/** A hub as the environment describes it at each call. Failures are PatchbayErrors. */
export function openHub(options: HubOptions = {}): Hub {
  const env = options.env ?? process.env
  const connect = async (): Promise<Connection> => {
    const offline = options.offline === true || isOffline(env)
    return {
      endpoint: readEndpoint(env),
      token: offline ? null : await readToken(env),
      offline,
      fetch: options.fetch ?? fetch,
      clock: options.clock ?? systemClock,
      limits: { ...defaultLimits, ...options.limits },
    }
  }
  return {
    searchModels: async (search, signal) =>
      searchModels(await connect(), checkedInput(hubSearch, search, 'search'), signal),
    planDownload: async (request, signal) =>
      planDownload(await connect(), cacheFolder(env), checkedInput(hubRequest, request, 'request'), signal),
    download: async (plan, downloadOptions) =>
      download(await connect(), cacheFolder(env), plan, downloadOptions),
    listCached: async () => {
      const scans = await Promise.all(cacheFolders(env).map(scanCache))
      return { models: scans.flatMap((scan) => scan.models), broken: scans.flatMap((scan) => scan.broken) }
    },
  }
}
