/** A reference checkpoint behind the interface that sweeps work on. */
import { hookPointsOf } from '../../main/models/hook-points'
import { WaveSize } from '../../main/runtime/wave/size'
import type { PatchingModel } from '../../main/analysis/patching/subject'
import { hookName } from '../../preload/hooks'
import type { Runnable } from '../../main/runtime'
import type { ReferenceModel } from './reference-model'

/** @param runnable instead of the model's own stack */
export function patchingModel(
  { spec, stack, fingerprint }: ReferenceModel,
  runnable: Runnable = stack,
): PatchingModel {
  const [{ attention }] = spec.blocks
  return {
    facts: {
      fingerprint,
      name: spec.family,
      family: spec.family,
      precision: 'float32',
      provider: 'cpu',
      layers: spec.blocks.length,
      dModel: spec.dModel,
      heads: attention.heads,
      kvHeads: attention.kvHeads,
      dHead: attention.headDim,
      vocab: spec.vocab,
      contextLength: spec.contextLength,
      tokenizerHash: '',
      templateHash: null,
      hooks: new Set(hookPointsOf(spec).map(hookName)),
      patchbay: 'test',
    },
    runnable,
    waveSize: new WaveSize(),
  }
}
