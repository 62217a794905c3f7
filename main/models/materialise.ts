/**
 * Weights that a graph can't use as they lie in a checkpoint (in another type, or to be permuted, split, transposed or
 * packed otherwise) are computed once and written to a safetensors file in a cache folder, where graphs point into it.
 */
import { PatchbayError } from '../../preload/errors'
import { requireSpace, throwIfCancelled, type WritableFs } from '../files/durable-file'
import {
  SafetensorsFile,
  safetensorsSize,
  writeSafetensors,
  type SafetensorsInput,
} from './formats/safetensors'

export interface PlannedTensor {
  /** Unique within the plan. */
  name: string
  shape: readonly number[]
  /** Float32 unless given; `U8` for bytes of any other meaning. */
  storage?: 'F32' | 'U8'
  /** Computes the tensor, row-major; called once, when its turn comes, and not kept. */
  produce: () => Promise<Float32Array | Uint8Array>
}

export interface MaterialiseRequest {
  plan: readonly PlannedTensor[]
  /** The file to be made; its folder is made where needed. */
  target: string
  /**
   * Everything that the content depends on besides names and shapes: the checkpoint's fingerprint and how the tensors
   * are derived from it. A file made for another key is made anew.
   */
  key: string
  signal?: AbortSignal
  /** Bytes written, of all. */
  onProgress?: (done: number, total: number) => void
  /** For tests. */
  fs?: WritableFs
}

/** Of the file's layout and of the computation as a whole; raise it when either changes. */
const formatVersion = '1'

/**
 * The file with all planned tensors: the one that is there if it was made for the same key and plan, else a new one.
 * Memory stays at one tensor. Several processes may do this at once: each writes a file of its own and renames it over
 * the target when it is whole.
 * @returns open; the caller closes it
 * @throws PatchbayError `disk.full` (before anything is written, or later; nothing half-written stays), `disk.failed`,
 * `run.cancelled`, or what `produce` throws
 */
export async function materialise(request: MaterialiseRequest): Promise<SafetensorsFile> {
  const { plan, target, key, signal, onProgress, fs } = request
  throwIfCancelled(signal, target)
  const existing = await openMatching(request)
  if (existing !== undefined) return existing
  const tensors = plan.map(({ name, shape, storage = 'F32', produce }): SafetensorsInput => ({
    name,
    shape,
    storage,
    data: produce,
  }))
  const metadata = { 'patchbay.key': key, 'patchbay.materialised': formatVersion }
  await requireSpace(target, safetensorsSize(tensors, metadata), fs)
  try {
    await writeSafetensors(target, tensors, metadata, { signal, onProgress, fs })
  } catch (error) {
    // Where a file in use can't be replaced (Windows), another process may have put the same one there meanwhile.
    const other =
      error instanceof PatchbayError && error.code === 'disk.failed' ? await openMatching(request) : undefined
    if (other !== undefined) return other
    throw error
  }
  return SafetensorsFile.open(target)
}

/** The target if it is whole and made for this key and plan; undefined where it must be made. */
async function openMatching({ plan, target, key }: MaterialiseRequest): Promise<SafetensorsFile | undefined> {
  let file: SafetensorsFile
  try {
    file = await SafetensorsFile.open(target)
  } catch (error) {
    if (error instanceof PatchbayError && (error.code === 'file.missing' || error.code === 'file.malformed'))
      return undefined
    throw error
  }
  const matches =
    file.metadata.get('patchbay.key') === key &&
    file.metadata.get('patchbay.materialised') === formatVersion &&
    file.tensors.size === plan.length &&
    plan.every(({ name, shape, storage = 'F32' }) => {
      const entry = file.tensors.get(name)
      return entry?.storage === storage && entry.shape.join() === shape.join()
    })
  if (matches) return file
  await file.close()
  return undefined
}
