/** Opens a model from its files: which kind it is, its fingerprint, its parts, its place in the library. */
import path from 'node:path'
import type { LoadProgress } from '../../preload/api'
import { asPatchbayError } from '../../preload/errors'
import type { ModelHandle, ModelLocation, ModelSource } from '../../preload/model'
import type { CertificateStore } from '../analysis/parity/store'
import type { DiskCaptures } from '../cache/disk'
import type { CaptureMemory } from '../cache/memory'
import type { KeptReadouts } from '../cache/readouts'
import { fingerprint } from '../models/fingerprint'
import { nonFiniteWarning } from '../models/formats/finite'
import { findOnnx } from '../models/formats/onnx/find'
import type { Library } from '../models/library'
import { prepareExport } from './open-export'
import { OpenModel } from './open-model'
import { prepareOwn } from './open-own'

export interface OpenModelContext {
  assetsDir: string
  cacheDir: string
  captures: CaptureMemory
  /** Captures on disk. */
  disk: DiskCaptures
  /** What was read out of residual streams. */
  readouts: KeptReadouts
  library: Library
  certificates: CertificateStore
}

export interface OpenOptions {
  signal?: AbortSignal
  onProgress?: (progress: LoadProgress) => void
}

/**
 * Opens a model from its files. Progress is said over the whole loading. What can not be opened at all is refused before
 * its weights are hashed.
 * @param existing an open model of that handle, which is then returned instead of a second one
 * @throws PatchbayError what reading, the architecture, the tokenizer or the sessions find wrong; nothing stays open then
 */
export async function openModel(
  source: ModelSource,
  context: OpenModelContext,
  { signal, onProgress }: OpenOptions,
  existing: (handle: ModelHandle) => OpenModel | undefined,
): Promise<OpenModel> {
  const report = (stage: LoadProgress['stage'], part: number, detail = ''): void => {
    const [start, end] = spans[stage]
    onProgress?.({ stage, fraction: start + (end - start) * part, detail })
  }
  const { location } = source
  const { cacheDir, captures, certificates, disk, library, readouts } = context
  const place = placeOf(location, context.assetsDir)
  report('reading', 0, path.basename(place))
  const file = await findOnnx(place)
  const { checkpoint, load } = await (file === null ? prepareOwn(place) : prepareExport(file, source))
  const undo: (() => Promise<unknown>)[] = [() => checkpoint.close()]
  const notes: string[] = []
  try {
    const print = await fingerprint(checkpoint, {
      cacheFile: path.join(cacheDir, 'digests.json'),
      onCacheFailure: (error) => notes.push(`Digests could not be kept: ${error.message}`),
      onNonFinite: (found) => notes.push(nonFiniteWarning(found)),
      signal,
      onProgress: (done, total) => report('hashing', total === 0 ? 1 : done / total),
    })
    const parts = await load({ source, place, fingerprint: print, cacheDir, undo, signal, report })
    const warnings = [...parts.description.warnings, ...notes]
    const description = { ...parts.description, warnings }
    const open = existing(description.handle)
    if (open !== undefined) await unwind(undo)
    const kept = { captures, disk, readouts }
    const model = open ?? new OpenModel({ ...parts, description, place, checkpoint }, kept)
    model.certificate = await certificates.summary(description)
    const remembering = library.remember({
      name: description.name,
      location,
      family: description.family,
      format: description.format,
      fingerprint: print,
      parameterCount: description.parameterCount,
      lastOpened: new Date().toISOString(),
    })
    await remembering.catch((error: unknown) => {
      const reason = asPatchbayError(error).message
      model.description.warnings.push(`The model could not be added to the library: ${reason}`)
    })
    return model
  } catch (error) {
    await unwind(undo)
    throw error
  }
}

/** The file or folder that a location means. */
export const placeOf = (location: ModelLocation, assetsDir: string): string =>
  location.kind === 'embedded' ? path.join(assetsDir, 'models', 'storyworld') : location.path

/** Closes in reverse order what was opened. */
async function unwind(undo: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const close of [...undo].reverse()) await close()
}

/** Where each stage lies in the whole loading: decoding weights and compiling take nearly all of it. */
const spans: Record<LoadProgress['stage'], readonly [number, number]> = {
  reading: [0, 0.02],
  hashing: [0.02, 0.15],
  tokenizer: [0.15, 0.2],
  'preparing weights': [0.2, 0.6],
  'testing provider': [0.6, 0.62],
  compiling: [0.62, 1],
}
