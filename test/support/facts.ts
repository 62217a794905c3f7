/** What analysis needs to know of a checkpoint that was opened for a test: float32, on the CPU. */
import type { ModelFacts } from '../../main/analysis/subject'
import { hookPointsOf } from '../../main/models/hook-points'
import type { TransformerSpec } from '../../main/models/spec'
import { hookName } from '../../preload/hooks'

export function factsOf(
  spec: TransformerSpec,
  own: Pick<ModelFacts, 'fingerprint' | 'name'> & Partial<ModelFacts>,
): ModelFacts {
  const [{ attention }] = spec.blocks
  return {
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
    ...own,
  }
}
