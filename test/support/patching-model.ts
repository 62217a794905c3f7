/** A reference checkpoint behind the interface that sweeps work on. */
import { WaveSize } from '../../main/runtime/wave/size'
import type { PatchingModel } from '../../main/analysis/patching/subject'
import type { Runnable } from '../../main/runtime'
import type { ReferenceModel } from './reference-model'
import { factsOf } from './facts'

/** @param runnable instead of the model's own stack */
export function patchingModel(
  { spec, stack, fingerprint }: ReferenceModel,
  runnable: Runnable = stack,
): PatchingModel {
  return {
    facts: factsOf(spec, { fingerprint, name: spec.family }),
    runnable,
    waveSize: new WaveSize(),
  }
}
