/** What opening a model goes through: found and understood first, which is quick, then hashed, then loaded. */
import type { LoadProgress } from '../../preload/api'
import type { ModelSource } from '../../preload/model'
import type { Checkpoint } from '../models/formats/checkpoint'
import type { ModelParts } from './open-model'

/** A model that was found and understood; of its weights nothing was read yet. */
export interface Prepared {
  readonly checkpoint: Pick<Checkpoint, 'format' | 'files' | 'config' | 'tensors' | 'readFloat32' | 'close'>
  /** Compiles it. What it opens on the way goes to `undo`, and stays open where it is successful. */
  readonly load: (loading: Loading) => Promise<Omit<ModelParts, 'place' | 'checkpoint'>>
}

export interface Loading {
  readonly source: ModelSource
  /** The file or folder that was opened. */
  readonly place: string
  readonly fingerprint: string
  readonly cacheDir: string
  /** Closes what was opened, in reverse order. */
  readonly undo: (() => Promise<unknown>)[]
  readonly signal: AbortSignal | undefined
  readonly report: (stage: LoadProgress['stage'], part: number) => void
}
