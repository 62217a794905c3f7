import { describe, expect, it } from 'vitest'
import type { ScoredEdge } from '../../../preload/attribution'
import { circuitLayout } from '../../../renderer/views/attribution/circuit-layout'
import { largestPlaces, picturesOf } from '../../../renderer/views/attribution/effects'
import { placeName, sourceName, targetName } from '../../../renderer/views/attribution/words'

const edges: ScoredEdge[] = [
  { from: { kind: 'head', layer: 5, head: 3 }, to: { kind: 'logits' }, score: -4 },
  { from: { kind: 'mlp', layer: 2 }, to: { kind: 'v', layer: 5, head: 1 }, score: 2 },
  { from: { kind: 'embed' }, to: { kind: 'mlp', layer: 2 }, score: 1 },
]

describe('the layout of a circuit', () => {
  const drawn = circuitLayout(edges, { heads: 4, kvHeads: 2 }, 600)
  const at = (id: string) => drawn.nodes.find((node) => node.id === id)

  it('has the parts of its edges and no others, later layers above', () => {
    expect(drawn.nodes.map(({ label }) => label).sort()).toEqual(['5.2', '5.3', 'M2', 'embed', 'logits'])
    const heights = ['embed', 'mlp 2', 'head 5 3', 'logits'].map((id) => at(id)?.y ?? NaN)
    expect(heights).toEqual([...heights].sort((a, b) => b - a))
  })

  it('draws a shared key or value at the first of the heads that share it', () => {
    expect(drawn.edges[1]).toMatchObject({
      from: 'mlp 2',
      to: 'head 5 2',
      name: 'MLP 2 → value of kv head 5.1',
    })
  })

  it('keeps everything inside of its frame, with wider strokes for larger scores', () => {
    for (const { x, y } of drawn.nodes) {
      expect(x).toBeGreaterThan(0)
      expect(x).toBeLessThan(drawn.width)
      expect(y).toBeGreaterThan(0)
      expect(y).toBeLessThan(drawn.height)
    }
    expect(drawn.edges.map(({ width }) => width)).toEqual(
      [...drawn.edges.map(({ width }) => width)].sort((a, b) => b - a),
    )
  })

  it('is empty without edges', () => {
    expect(circuitLayout([], { heads: 4, kvHeads: 4 }, 600).nodes).toEqual([])
  })
})

describe('names', () => {
  it('say which part and which input', () => {
    expect(sourceName({ kind: 'embed' })).toBe('embedding')
    expect(targetName({ kind: 'q', layer: 1, head: 2 })).toBe('query of head 1.2')
    expect(placeName({ hook: 'blocks.3.hook_resid_pre', positions: [7] })).toBe(
      'residual stream into block 3 · position 7',
    )
    expect(placeName({ hook: 'blocks.2.mlp.hook_post', units: [301] })).toBe('neuron 2.301')
  })
})

describe('maps of effects', () => {
  const map = (values: number[], shape: number[]) => ({
    effect: { shape, data: Float32Array.from(values) },
    normalised: null,
  })
  const result = {
    residPre: map([1, -9, NaN, 2], [2, 2]),
    attnOut: null,
    mlpOut: null,
    heads: map([4, 0], [2, 1]),
  }

  it('are those that were computed', () => {
    expect(picturesOf(result).map(({ id }) => id)).toEqual(['residPre', 'heads'])
  })

  it('give the places with the largest estimates, whatever their sign, and none without a partner', () => {
    expect(largestPlaces(picturesOf(result), 3)).toEqual([
      { place: { hook: 'blocks.0.hook_resid_pre', positions: [1] }, estimate: -9 },
      { place: { hook: 'blocks.0.attn.hook_z', head: 0 }, estimate: 4 },
      { place: { hook: 'blocks.1.hook_resid_pre', positions: [1] }, estimate: 2 },
    ])
    expect(largestPlaces(picturesOf(result), 100)).toHaveLength(5)
  })
})
