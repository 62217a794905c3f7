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

/** A model's stack as a runnable of which nothing more is known: no blocks to work on. */
export const ordinary = ({ stack }: ReferenceModel): Runnable => ({
  dModel: stack.dModel,
  vocab: stack.vocab,
  contextLength: stack.contextLength,
  hook: (hook: string) => stack.hook(hook),
  layoutOf: stack.layoutOf.bind(stack),
  forward: stack.forward.bind(stack),
  backward: stack.backward.bind(stack),
  unembed: stack.unembed.bind(stack),
  continues: stack.continues.bind(stack),
  release: stack.release.bind(stack),
})
