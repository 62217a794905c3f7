/**
 * The sweeps that `patchbay bench` times, on SmolLM2: their means are what TransformerLens, nnsight and plain transformers
 * give. The model is looked for in the folder that PATCHBAY_MODELS names.
 */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { sweep } from '../../../main/analysis/patching/sweep'
import { sweepRequest, type SweepTarget } from '../../../preload/sweep'
import { patchingModel } from '../../support/patching-model'
import { openReferenceModel } from '../../support/reference-model'

const file = path.join(process.env.PATCHBAY_MODELS ?? '', 'SmolLM2-135M-Instruct.Q4_1.gguf')
const there = process.env.PATCHBAY_MODELS !== undefined && existsSync(file)
const reason = there ? '' : ' (skipped: PATCHBAY_MODELS names no folder with SmolLM2-135M-Instruct.Q4_1.gguf)'

/** "When Mary and John went to the store, John gave a drink to", and the same with the names swapped. */
const [mary, john] = [5099, 2322]
const prompt = (first: number, second: number): number[] => [
  2427,
  first,
  284,
  second,
  3514,
  288,
  260,
  4249,
  28,
  second,
  4502,
  253,
  5968,
  288,
]

describe.skipIf(!there)(`SmolLM2${reason}`, () => {
  it('has the means of its peers for the residual stream and for heads', async () => {
    const reference = await openReferenceModel(file)
    try {
      const model = patchingModel(reference)
      const meanOf = async (target: SweepTarget): Promise<number> => {
        const { raw } = await sweep(
          model,
          sweepRequest.parse({
            pairs: [{ clean: prompt(mary, john), corrupt: prompt(john, mary) }],
            target,
            metrics: [{ kind: 'logit-difference', positive: [mary], negative: [john] }],
          }),
        )
        return raw.data.reduce((sum, value) => sum + value, 0) / raw.data.length
      }
      expect(await meanOf({ kind: 'grid', component: 'resid_pre', by: ['position'] })).toBeCloseTo(
        -5.19282,
        4,
      )
      expect(await meanOf({ kind: 'grid', component: 'z', by: ['head'] })).toBeCloseTo(-6.4041, 4)
    } finally {
      await reference.close()
    }
  })
})
