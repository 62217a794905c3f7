/** What a site can change at all: the positions that a wave need not run. */
import { describe, expect, it } from 'vitest'
import {
  narrowed,
  offsetsOf,
  selectedAxes,
  type Activations,
  type PatchSite,
} from '../../../main/runtime/wave/site'
import type { BlockSite } from '../../../preload/hooks'

const site = (name: BlockSite, layer: number, positions: number[]): PatchSite => ({
  point: { layer, site: name },
  positions,
  heads: null,
  units: null,
})

/** One number at each of four positions. */
const at = (hook: string, values: number[]): Activations =>
  new Map([[hook, { shape: [values.length, 1], data: Float32Array.from(values) }]])

const reads = [3]

describe('a site', () => {
  const base = at('blocks.0.hook_resid_pre', [1, 2, 3, 4])
  const source = at('blocks.0.hook_resid_pre', [1, 5, 3, 6])

  it('keeps only positions at which source and base differ', () => {
    expect(narrowed(site('hook_resid_pre', 0, [0, 1, 2, 3]), 2, base, source, reads)?.positions).toEqual([
      1, 3,
    ])
    expect(narrowed(site('hook_resid_pre', 0, [0, 2]), 2, base, source, reads)).toBeNull()
  })

  it('keeps values that are no numbers: what follows from them is to be seen', () => {
    const broken = at('blocks.0.hook_resid_pre', [1, NaN, 3, 4])
    expect(narrowed(site('hook_resid_pre', 0, [1]), 2, broken, broken, reads)?.positions).toEqual([1])
  })

  it('drops positions behind all that are read', () => {
    expect(narrowed(site('hook_resid_pre', 0, [1, 3]), 2, base, source, [2])?.positions).toEqual([1])
  })

  it('drops all other positions behind the attention of the last block, but not keys and values', () => {
    const one = at('blocks.1.hook_mlp_out', [0, 0, 0, 0])
    const other = at('blocks.1.hook_mlp_out', [1, 1, 1, 1])
    expect(narrowed(site('hook_mlp_out', 1, [0, 1, 2, 3]), 2, one, other, reads)?.positions).toEqual([3])
    expect(narrowed(site('hook_mlp_out', 1, [0, 1, 2, 3]), 3, one, other, reads)?.positions).toEqual([
      0, 1, 2, 3,
    ])
    const keys = new Map([['blocks.1.attn.hook_k', { shape: [4, 1, 1], data: new Float32Array(4) }]])
    const others = new Map([
      ['blocks.1.attn.hook_k', { shape: [4, 1, 1], data: new Float32Array(4).fill(1) }],
    ])
    expect(narrowed(site('attn.hook_k', 1, [0, 1]), 2, keys, others, reads)?.positions).toEqual([0, 1])
  })

  it('selects heads and units among all others', () => {
    const chosen = { ...site('attn.hook_z', 0, [1]), heads: [2], units: [0, 3] }
    const axes = selectedAxes(chosen, [2, 3, 4])
    expect(axes).toEqual([[1], [2], [0, 3]])
    expect([...offsetsOf(axes, [2, 3, 4])]).toEqual([1 * 12 + 2 * 4 + 0, 1 * 12 + 2 * 4 + 3])
    const pattern = { ...site('attn.hook_pattern', 0, [1]), heads: [2] }
    expect(selectedAxes(pattern, [3, 2, 2])).toEqual([[2], [1], [0, 1]])
  })
})
