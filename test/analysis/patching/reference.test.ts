/** Exact patching against what PyTorch gives in float64 (see each case's reference.json). */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCase } from '../../../main/analysis/parity/case'
import { sweep } from '../../../main/analysis/patching/sweep'
import { readSpec } from '../../../main/models/architectures/registry'
import { testProvider } from '../../../main/runtime/providers'
import type { ProviderChoice } from '../../../preload/run'
import { sweepRequest, type SweepTarget } from '../../../preload/sweep'
import { casesFolder } from '../../support/cases'
import { patchingModel } from '../../support/patching-model'
import { openReferenceModel } from '../../support/reference-model'

async function expectReference(name: string, provider: ProviderChoice, tolerance: number): Promise<void> {
  const tensors = await readCase(path.join(casesFolder, 'interop/attribution', name))
  const { tokA = 0, tokB = 0, clean_row = 0, corrupt_row = 1, checkpoint = '' } = tensors.reference
  const rows = await tensors.tokens('input_ids')
  const metric = await tensors.tensor('metric')
  const opened = await openReferenceModel(path.join(casesFolder, checkpoint), readSpec, provider)
  try {
    const model = patchingModel(opened)
    for (const direction of ['noising', 'denoising'] as const) {
      const base = metric.data[direction === 'noising' ? 0 : 1]
      const grids: [string, SweepTarget][] = [
        ['resid_pre', { kind: 'grid', component: 'resid_pre', by: ['position'] }],
        ['z', { kind: 'grid', component: 'z', by: ['head'] }],
      ]
      for (const [site, target] of grids) {
        const want = await tensors.tensor(`${direction}.${site}.exact`)
        const { raw, plan } = await sweep(
          model,
          sweepRequest.parse({
            pairs: [{ clean: rows[clean_row], corrupt: rows[corrupt_row] }],
            direction,
            target,
            metrics: [{ kind: 'logit-difference', positive: [tokA], negative: [tokB] }],
          }),
        )
        expect(plan.shape).toEqual(want.shape)
        expect(plan.ends[0].clean).toBeCloseTo(metric.data[0], 4)
        want.data.forEach((effect, i) =>
          expect(Math.abs(raw.data[i] - base - effect)).toBeLessThan(tolerance),
        )
      }
    }
  } finally {
    await opened.close()
    await tensors.close()
  }
}

describe('patching of residual stream and heads, noising and denoising', () => {
  it.each(['gpt2', 'llama', 'gemma2'])('agrees with PyTorch in %s', (name) =>
    expectReference(name, 'cpu', 1e-4),
  )
})

const { reason } = await testProvider('webgpu')
const skipped = reason === null ? '' : ` (skipped: ${reason})`
describe.skipIf(reason !== null)(`patching on WebGPU${skipped}`, () => {
  it('agrees with PyTorch in llama', () => expectReference('llama', 'webgpu', 1e-3))
})
