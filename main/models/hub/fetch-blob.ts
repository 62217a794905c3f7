/**
 * One file's content from the hub into the cache: as much as is missing, over as many connections as it takes, checked
 * against its hash before it gets its name.
 */
import { stat } from 'node:fs/promises'
import type { HubFile } from '../../../preload/hub'
import { fileMatches, wrongHash } from './digest'
import { TransientFailure, untrusted } from './failures'
import type { Connection } from './net/connection'
import { exchange } from './net/exchange'
import { pauseBefore } from './net/retry'
import { PartialFile, type PartialFs } from './partial-file'
import { checkUnchanged, howItFits, placeOf, rangeHeaders } from './ranges'

export interface BlobJob {
  /** Where the hub has it, at a commit. */
  url: URL
  file: Omit<HubFile, 'cached'>
  partial: string
  blob: string
}

export interface BlobOptions {
  signal?: AbortSignal
  fs?: PartialFs
  /** Told how much of the file is on the disk: after each piece, and where it was `found` so or thrown away. */
  onBytes?: (held: number, how: 'found' | 'received') => void
  onPhase?: (phase: 'waiting' | 'downloading' | 'verifying') => void
}

/**
 * Downloads a blob; the caller holds its lock. Whatever happens, what remains is nothing, a partial file to go on with,
 * or the whole blob under its name.
 * @throws PatchbayError; TransientFailure after as many attempts as the connection's limits allow
 */
export async function fetchBlob(
  connection: Connection,
  job: BlobJob,
  options: BlobOptions = {},
): Promise<void> {
  const partial = new PartialFile(job.partial, options.fs)
  let startedOver = false
  let pieced = (await partial.look()) > 0
  options.onBytes?.(partial.size, 'found')
  for (;;) {
    pieced = (await receive(connection, job, partial, options)) || pieced
    options.onPhase?.('verifying')
    const { matches, inode } = await fileMatches(job.partial, job.file.hash, options.signal)
    if (matches) {
      // Only what was checked may get the name: not a file that another process put in its place meanwhile.
      if ((await stat(job.partial, { bigint: true })).ino !== inode) throw otherWriter(job)
      return partial.publish(job.blob)
    }
    await startOver(partial, options)
    // Where it came in several pieces, one of them may have been of another file: once more, as a whole.
    if (!pieced || startedOver) throw wrongHash(job.file.name)
    startedOver = true
  }
}

const otherWriter = ({ file }: BlobJob): TransientFailure =>
  new TransientFailure(`Another program writes ${file.name} at the same time.`, {
    next: 'Wait until it is done, then try again.',
  })

async function startOver(partial: PartialFile, { onBytes }: BlobOptions): Promise<void> {
  await partial.discard()
  onBytes?.(0, 'found')
}

/** Attempts until the partial file is as long as it has to be. @returns whether it took several connections */
async function receive(
  connection: Connection,
  job: BlobJob,
  partial: PartialFile,
  options: BlobOptions,
): Promise<boolean> {
  const { bytes } = job.file
  const etags = new Map<string, string>()
  let reached = partial.size
  let connections = 0
  for (let attempt = 1; ; attempt++) {
    try {
      if (partial.size > bytes) await startOver(partial, options)
      if (partial.size === bytes) {
        await partial.sync()
        return connections > 1
      }
      connections++
      options.onPhase?.('downloading')
      await receiveOnce(connection, job, partial, etags, options)
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error
      if (partial.size >= reached + connection.limits.progressBytes) attempt = 1
      reached = Math.max(reached, partial.size)
      options.onPhase?.('waiting')
      await pauseBefore(attempt, error, connection, options.signal)
    } finally {
      await partial.close()
    }
  }
}

/** One connection: asks for what is missing and appends it. */
async function receiveOnce(
  connection: Connection,
  { url, file }: BlobJob,
  partial: PartialFile,
  etags: Map<string, string>,
  options: BlobOptions,
): Promise<void> {
  const from = partial.size
  const headers = (at: URL) => rangeHeaders(at, from, file, etags, connection.endpoint)
  const answer = await exchange(connection, {
    url,
    what: file.name,
    headers,
    signal: options.signal,
    accept: from === 0 ? undefined : 416,
    inspect: (said, at) => checkUnchanged(said, at, file, connection.endpoint),
  })
  try {
    const host = answer.url.host
    const fit = howItFits(answer, from, file, etags)
    if (from > 0 && fit !== 'rest') await startOver(partial, options)
    if (fit === 'other') {
      etags.clear()
      throw new TransientFailure(`${host} has another ${file.name} than the part that is here.`, {
        next: 'Start the download again; it begins anew.',
      })
    }
    const etag = answer.headers.get('etag')
    if (etag?.startsWith('"') === true) etags.set(placeOf(answer.url), etag)
    for await (const piece of answer.pieces()) {
      if (partial.size + piece.length > file.bytes) {
        await startOver(partial, options)
        throw untrusted(`${host} sends more than the ${file.bytes} bytes that ${file.name} has.`)
      }
      await partial.append(piece)
      options.onBytes?.(partial.size, 'received')
    }
    if (partial.size === file.bytes) return
    throw new TransientFailure(`${host} ended ${file.name} after ${partial.size} of ${file.bytes} bytes.`, {
      next: 'Start the download again; it goes on from there.',
    })
  } finally {
    answer.close()
  }
}
