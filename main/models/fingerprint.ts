/**
 * What a model is, wherever it lies: a hash over the content of its weight files and its configuration. Presets, runs
 * and cached activations name their model by it.
 */
import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { canonicalJson } from '../../preload/canonical'
import { asPatchbayError, type PatchbayError } from '../../preload/errors'
import { DigestCache, type Digest, type FileIdentity } from './digest-cache'
import { throwIfCancelled } from '../files/durable-file'
import type { Checkpoint, TensorEntry } from './formats/checkpoint'
import { FiniteScan, type NonFiniteTensor } from './formats/finite'
import { malformed, readFailure } from './formats/malformed'
import { isJsonObject } from './formats/strict-json'

export interface FingerprintOptions {
  /** JSON file that remembers digests between runs; without it every byte is read each time. */
  cacheFile?: string
  /** Told where the cache could not be read or written, which then costs only time; without it that is an error. */
  onCacheFailure?: (error: PatchbayError) => void
  /** Told of weights that are NaN or infinite, which the same reading finds; where nobody is, nobody looks. */
  onNonFinite?: (found: readonly NonFiniteTensor[]) => void
  signal?: AbortSignal
  /** Bytes of weights hashed (or known), of all. */
  onProgress?: (done: number, total: number) => void
}

/** Part of what is hashed: changes whenever the recipe does. */
const recipe = 'patchbay.fingerprint.1'

/** Keys of config.json that say where a model came from and nothing about what it computes. */
const provenanceKeys = new Set(['_name_or_path', 'transformers_version'])

const chunkBytes = 4 << 20

/** Tensors without numbers that are remembered: where it is more, it is all of them. */
const mostTensors = 100

/**
 * The fingerprint of a checkpoint, 64 hex digits: sha256 over the digests of its weight files, in their order, and the
 * canonical form of its configuration. A copy elsewhere has the same one.
 * @throws PatchbayError `file.*` where a file can't be read or changes meanwhile; `run.cancelled`
 */
export async function fingerprint(
  checkpoint: Pick<Checkpoint, 'format' | 'files' | 'config' | 'tensors'>,
  options: FingerprintOptions = {},
): Promise<string> {
  const { signal, onProgress, onNonFinite } = options
  const identities = await Promise.all(checkpoint.files.map(identify))
  const total = identities.reduce((sum, { size }) => sum + size, 0)
  const weights: string[] = []
  const nonFinite: NonFiniteTensor[] = []
  let before = 0
  for (const identity of identities) {
    throwIfCancelled(signal, identity.path)
    const tensors = [...checkpoint.tensors.values()].filter(({ file }) => file === identity.path)
    const digest = await digestOf(identity, tensors, options, (done) => onProgress?.(before + done, total))
    weights.push(digest.sha256)
    nonFinite.push(...(digest.nonFinite ?? []))
    before += identity.size
    onProgress?.(before, total)
  }
  if (nonFinite.length > 0) onNonFinite?.(nonFinite)
  const config = essentialConfig(checkpoint.config)
  const description = canonicalJson({ recipe, format: checkpoint.format, weights, config })
  return createHash('sha256').update(description).digest('hex')
}

/** sha256 of one file's content, 64 hex digits. @throws PatchbayError `file.*`, `run.cancelled` */
export async function fileDigest(file: string, signal?: AbortSignal): Promise<string> {
  const { sha256 } = await readDigest(await identify(file), null, signal, () => undefined)
  return sha256
}

/** From the cache where it is known, else by reading the file. */
async function digestOf(
  identity: FileIdentity,
  tensors: readonly TensorEntry[],
  { cacheFile, onCacheFailure, onNonFinite, signal }: FingerprintOptions,
  onProgress: (done: number) => void,
): Promise<Digest> {
  const scanned = onNonFinite === undefined ? null : tensors
  if (cacheFile === undefined) return readDigest(identity, scanned, signal, onProgress)
  const tolerate = (error: unknown): undefined => {
    if (onCacheFailure === undefined) throw error
    onCacheFailure(asPatchbayError(error))
  }
  const cache = new DigestCache(cacheFile)
  const known = await cache.get(identity).catch(tolerate)
  if (known !== undefined && (scanned === null || known.nonFinite !== undefined)) return known
  const digest = await readDigest(identity, scanned, signal, onProgress)
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

/**
 * sha256 of a file's content in hex, and which of its tensors hold no numbers, where those are given; refuses a file that
 * changes while it is read.
 */
async function readDigest(
  identity: FileIdentity,
  tensors: readonly TensorEntry[] | null,
  signal: AbortSignal | undefined,
  onProgress: (done: number) => void,
): Promise<Digest> {
  const hash = createHash('sha256')
  const scan = tensors === null ? null : new FiniteScan(tensors)
  try {
    const handle = await open(identity.path, 'r')
    try {
      const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(1, identity.size)))
      for (let done = 0; ; onProgress(done)) {
        throwIfCancelled(signal, identity.path)
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, done)
        if (bytesRead === 0) break
        hash.update(chunk.subarray(0, bytesRead))
        scan?.feed(chunk.subarray(0, bytesRead))
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
  const sha256 = hash.digest('hex')
  return scan === null ? { sha256 } : { sha256, nonFinite: scan.found.slice(0, mostTensors) }
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
