/** What attribution needs of a model beyond running it: what it is made of, and its weights. */
import { PatchbayError } from '../../../preload/errors'
import type { TransformerSpec } from '../../models/spec'
import type { Weight } from '../../models/weights'
import type { AnalysisModel } from '../subject'

export interface Insides {
  readonly spec: TransformerSpec
  /** A weight as the spec names it, in float32, row-major. */
  readonly weight: (weight: Weight) => Promise<Float32Array>
}

export interface AttributionModel extends AnalysisModel {
  /** Null where the model came as a graph that somebody else exported. */
  readonly insides: Insides | null
}

/** @throws PatchbayError `model.unsupported` for an exported graph */
export function insidesOf({ facts, insides }: AttributionModel, what: string): Insides {
  if (insides !== null) return insides
  throw new PatchbayError(
    'model.unsupported',
    `${facts.name} came as an exported graph, of whose weights Patchbay does not know what they are: ${what} needs them.`,
    { next: 'Open the checkpoint (safetensors or GGUF) that it was exported from.', field: 'model' },
  )
}
