/** Waves where the provider lacks the fused operators: plain ones give the same residual streams. */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { relativeError } from '../../../main/analysis/parity/case'
import { readSpec } from '../../../main/models/architectures/registry'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { allFused, type Lowering } from '../../../main/runtime/graph/context'
import { placeWeights } from '../../../main/runtime/placement'
import { BlockStack } from '../../../main/runtime/stack'
import { runBases } from '../../../main/runtime/wave/base'
import { runWaves } from '../../../main/runtime/wave/run'
import type { PatchSite } from '../../../main/runtime/wave/site'
import { WaveSize } from '../../../main/runtime/wave/size'
import type { Tensor } from '../../../preload/tensor'

const folder = path.join(import.meta.dirname, '../../reference/cases/architectures')
const plain: Lowering = { fusedAttention: false, fusedRms: false, fusedRotary: false }
const [base, source] = [
  [5, 17, 9, 23, 42, 7],
  [5, 18, 9, 23, 41, 7],
]

/** Residual streams behind the last block at two positions, for patches at several places. */
async function finals(name: string, lowering: Lowering): Promise<Tensor> {
  const checkpoint = await openCheckpoint(path.join(folder, name))
  const spec = await readSpec(checkpoint)
  const weights = await placeWeights({ checkpoint, spec, fingerprint: 'f', cacheDir: 'unused' })
  await checkpoint.close()
  const stack = new BlockStack({ spec, weights, provider: 'cpu', lowering })
  try {
    const places = ['blocks.0.hook_resid_pre', 'blocks.0.attn.hook_z', 'blocks.1.attn.hook_k'] as const
    const [run, other] = await runBases(stack, [base, source], places)
    const sites: PatchSite[] = [
      { point: { layer: 0, site: 'hook_resid_pre' }, positions: [1], heads: null, units: null },
      { point: { layer: 0, site: 'attn.hook_z' }, positions: [1, 2, 3, 4, 5], heads: [1], units: null },
      { point: { layer: 1, site: 'attn.hook_k' }, positions: [4], heads: [0], units: null },
    ]
    const found: Tensor[] = []
    await runWaves(stack, { base: run, source: other.activations, reads: [4, 5] }, sites, {
      size: new WaveSize(),
      onWave: (_, tensor) => {
        found.push(tensor)
        return Promise.resolve()
      },
    })
    expect(found).toHaveLength(1)
    expect(found[0].shape).toEqual([3, 2, spec.dModel])
    return found[0]
  } finally {
    await stack.release()
  }
}

describe('waves in plain operators', () => {
  // Grouped queries; interleaved partial rotation; a sliding window; ALiBi.
  it.each(['llama', 'glm4', 'mistral_sliding', 'bloom'])(
    'give the numbers of fused ones in %s',
    async (name) => {
      expect(relativeError(await finals(name, plain), await finals(name, allFused))).toBeLessThan(5e-6)
    },
  )
})
