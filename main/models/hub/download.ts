/** A planned download: every file into the cache, then the snapshot and the ref that name them. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError, asPatchbayError } from '../../../preload/errors'
import {
  downloadPlan,
  type DownloadPlan,
  type DownloadProgress,
  type DownloadedModel,
  type HubFile,
} from '../../../preload/hub'
import { requireSpace, type WritableFs } from '../../files/durable-file'
import { isCached, linkFile, writeRef } from './cache/link'
import { RepoCache, sizeOf } from './cache/layout'
import { withLock } from './cache/lock'
import { fetchBlob } from './fetch-blob'
import { offline } from './failures'
import { checkedInput } from './input'
import type { Connection } from './net/connection'
import { ProgressMeter } from './progress'
import { fileAddress } from './repository'

export interface DownloadOptions {
  signal?: AbortSignal
  onProgress?: (progress: DownloadProgress) => void
  /** A parameter so that its failures can be tested. */
  fs?: WritableFs
}

/**
 * Downloads what a plan says, and goes on with what an earlier attempt left. Offline it succeeds where nothing is missing.
 * @param cache the cache folder
 * @throws PatchbayError `disk.full` before anything is fetched where the space does not suffice; `run.cancelled`;
 * `file.unreadable` (offline, connection, no permission), `file.malformed` (wrong hash), `disk.failed`
 */
export async function download(
  connection: Connection,
  cache: string,
  plan: DownloadPlan,
  options: DownloadOptions = {},
): Promise<DownloadedModel> {
  const { repoId, revision, commit, files, weights } = checkedPlan(plan)
  const repository = new RepoCache(cache, repoId)
  const total = files.reduce((sum, file) => sum + file.bytes, 0)
  const meter = new ProgressMeter(
    total,
    () => connection.clock.now(),
    (progress) => options.onProgress?.(progress),
  )

  const missing: PlannedFile[] = []
  let absent = 0
  for (const file of files) {
    const whole = await isCached(repository, commit, file)
    const held = whole ? file.bytes : Math.min(file.bytes, (await sizeOf(repository.partial(file.hash))) ?? 0)
    meter.found(file.name, held)
    absent += file.bytes - held
    if (!whole) missing.push(file)
  }
  if (missing.length > 0) {
    if (connection.offline) throw offline(`${missing[0].name} of ${repoId} can not be downloaded`)
    await requireSpace(path.join(repository.blobs, path.basename(repoId)), absent, options.fs)
    await mkdir(repository.snapshots, { recursive: true }).catch((cause: unknown) => {
      throw asPatchbayError(cause)
    })
  }
  for (const file of missing)
    await fetchInTurn(connection, repository, { repoId, commit, file }, meter, options)

  meter.enter('finishing', null)
  for (const file of files) await linkFile(repository, commit, file)
  await writeRef(repository, revision, commit)
  const folder = repository.snapshot(commit)
  return { folder, path: weights.endsWith('.gguf') ? repository.pointer(commit, weights) : folder }
}

type PlannedFile = Omit<HubFile, 'cached'>

/** Fetches a file unless another process does, or did meanwhile. */
async function fetchInTurn(
  connection: Connection,
  repository: RepoCache,
  { repoId, commit, file }: { repoId: string; commit: string; file: PlannedFile },
  meter: ProgressMeter,
  { signal, fs }: DownloadOptions,
): Promise<void> {
  const onWait = (): void => meter.enter('waiting', file.name)
  await withLock(repository.lock(file.hash), { clock: connection.clock, signal, onWait }, async () => {
    if (await isCached(repository, commit, file)) return meter.found(file.name, file.bytes)
    const job = {
      url: fileAddress(connection.endpoint, { id: repoId, commit }, file.name),
      file,
      partial: repository.partial(file.hash),
      blob: repository.blob(file.hash),
    }
    await fetchBlob(connection, job, {
      signal,
      fs,
      onPhase: (phase) => meter.enter(phase, file.name),
      onBytes: (held, how) => meter[how](file.name, held),
    })
  })
}

/** A plan comes over the wire, and its names become paths. */
function checkedPlan(given: DownloadPlan): DownloadPlan & { weights: string } {
  const plan = checkedInput(downloadPlan, given, 'download plan')
  const { weights, files } = plan
  if (weights !== null && files.some((file) => file.name === weights)) return { ...plan, weights }
  throw new PatchbayError('input.invalid', `The download plan for ${plan.repoId} has no weights in it.`, {
    field: 'weights',
    next: plan.support.reason ?? 'Choose a repository with safetensors or GGUF weights.',
  })
}
