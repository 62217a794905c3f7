/** The fused operators against the plain ones that stand in for them where a provider lacks them. */
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import { allFused, type Lowering } from '../../main/runtime/graph/context'
import { placeWeights } from '../../main/runtime/placement'
import { BlockStack } from '../../main/runtime/stack'
import type { Tensor } from '../../preload/tensor'

const folder = path.join(import.meta.dirname, '../reference/cases/architectures')
const rows = [
  [5, 17, 99, 23, 42, 7],
  [140, 2, 64],
]
const lowerings: Record<string, Lowering> = {
  attention: { ...allFused, fusedAttention: false },
  'rotary embedding': { ...allFused, fusedRotary: false },
  RMSNorm: { ...allFused, fusedRms: false },
}
const stacks: BlockStack[] = []
afterAll(() => Promise.all(stacks.map((stack) => stack.release())))

// Full, partial, interleaved and interleaved partial rotation; grouped queries; a sliding window; ALiBi.
describe.each(['llama', 'gpt_neox', 'cohere', 'glm4', 'mistral_sliding', 'bloom'])('in %s', (name) => {
  it.each(Object.keys(lowerings))('%s written out gives the fused operator’s numbers', async (part) => {
    const checkpoint = await openCheckpoint(path.join(folder, name))
    const spec = await readSpec(checkpoint)
    const weights = await placeWeights({ checkpoint, spec, fingerprint: 'f', cacheDir: 'unused' })
    await checkpoint.close()
    const logits: Tensor[] = []
    for (const lowering of [allFused, lowerings[part]]) {
      const stack = new BlockStack({ spec, weights, provider: 'cpu', lowering })
      stacks.push(stack)
      const first = await stack.forward({ start: { kind: 'tokens', rows }, keepCache: true })
      const next = await stack.forward({
        start: { kind: 'tokens', rows: [[3, 9], [8]] },
        cache: first.cache ?? undefined,
        logits: 'last',
      })
      if (next.logits !== null) logits.push(next.logits)
    }
    expect(logits).toHaveLength(2)
    expect(relativeError(logits[1], logits[0])).toBeLessThan(5e-6)
  })
})
