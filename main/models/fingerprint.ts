/**
 * What a model is, wherever it lies: a hash over the content of its weight files and its configuration. Presets, runs
 * and cached activations name their model by it.
 */
import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { canonicalJson } from '../../preload/canonical'
import { asPatchbayError, type PatchbayError } from '../../preload/errors'
import { DigestCache, type FileIdentity } from './digest-cache'
import { throwIfCancelled } from '../files/durable-file'
import type { Checkpoint } from './formats/checkpoint'
import { malformed, readFailure } from './formats/malformed'
import { isJsonObject } from './formats/strict-json'

export interface FingerprintOptions {
  /** JSON file that remembers digests between runs; without it every byte is read each time. */
  cacheFile?: string
  /** Told where the cache could not be read or written, which then costs only time; without it that is an error. */
  onCacheFailure?: (error: PatchbayError) => void
  signal?: AbortSignal
  /** Bytes of weights hashed (or known), of all. */
  onProgress?: (done: number, total: number) => void
}

/** Part of what is hashed: changes whenever the recipe does. */
const recipe = 'patchbay.fingerprint.1'

/** Keys of config.json that say where a model came from and nothing about what it computes. */
const provenanceKeys = new Set(['_name_or_path', 'transformers_version'])

const chunkBytes = 4 << 20

/**
 * The fingerprint of a checkpoint, 64 hex digits: sha256 over the digests of its weight files, in their order, and the
 * canonical form of its configuration. A copy elsewhere has the same one.
 * @throws PatchbayError `file.*` where a file can't be read or changes meanwhile; `run.cancelled`
 */
export async function fingerprint(
  checkpoint: Pick<Checkpoint, 'format' | 'files' | 'config'>,
  options: FingerprintOptions = {},
): Promise<string> {
  const { signal, onProgress } = options
  const identities = await Promise.all(checkpoint.files.map(identify))
  const total = identities.reduce((sum, { size }) => sum + size, 0)
  const weights: string[] = []
  let before = 0
  for (const identity of identities) {
    throwIfCancelled(signal, identity.path)
    weights.push(await digestOf(identity, options, (done) => onProgress?.(before + done, total)))
    before += identity.size
    onProgress?.(before, total)
  }
  const config = essentialConfig(checkpoint.config)
  const description = canonicalJson({ recipe, format: checkpoint.format, weights, config })
  return createHash('sha256').update(description).digest('hex')
}

/** sha256 of one file's content, 64 hex digits. @throws PatchbayError `file.*`, `run.cancelled` */
export async function fileDigest(file: string, signal?: AbortSignal): Promise<string> {
  return hashFile(await identify(file), signal, () => undefined)
}

/** From the cache where it is known, else by reading the file. */
async function digestOf(
  identity: FileIdentity,
  { cacheFile, onCacheFailure, signal }: FingerprintOptions,
  onProgress: (done: number) => void,
): Promise<string> {
  if (cacheFile === undefined) return hashFile(identity, signal, onProgress)
  const tolerate = (error: unknown): undefined => {
    if (onCacheFailure === undefined) throw error
    onCacheFailure(asPatchbayError(error))
  }
  const cache = new DigestCache(cacheFile)
  const known = await cache.get(identity).catch(tolerate)
  if (known !== undefined) return known
  const digest = await hashFile(identity, signal, onProgress)
  await cache.put(identity, digest).catch(tolerate)
  return digest
}

async function identify(file: string): Promise<FileIdentity> {
  try {
    const { size, mtimeNs, ino } = await stat(file, { bigint: true })
    return { path: file, size: Number(size), mtimeNs, inode: ino }
  } catch (cause) {
    throw readFailure(file, cause)
  }
}

/** sha256 of a file's content in hex; refuses a file that changes while it is read. */
async function hashFile(
  identity: FileIdentity,
  signal: AbortSignal | undefined,
  onProgress: (done: number) => void,
): Promise<string> {
  const hash = createHash('sha256')
  try {
    const handle = await open(identity.path, 'r')
    try {
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(1, identity.size)))
      for (let done = 0; ; onProgress(done)) {
        throwIfCancelled(signal, identity.path)
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, done)
        if (bytesRead === 0) break
        hash.update(chunk.subarray(0, bytesRead))
        done += bytesRead
      }
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw readFailure(identity.path, cause)
  }
  const now = await identify(identity.path)
  if (now.size !== identity.size || now.mtimeNs !== identity.mtimeNs)
    throw malformed(identity.path, 'changed while it was read', {
      next: 'Wait until it is written (a download may still be running), then open it again.',
    })
  return hash.digest('hex')
}

/** The configuration without what does not belong to the model; infinities and NaN, which JSON lacks, as texts. */
function essentialConfig(config: unknown): unknown {
  if (!isJsonObject(config)) return null
  return withoutNonFinite(
    Object.fromEntries(Object.entries(config).filter(([key]) => !provenanceKeys.has(key))),
  )
}

function withoutNonFinite(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return `number:${value}`
  if (Array.isArray(value)) return value.map(withoutNonFinite)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNonFinite(item)]))
}
