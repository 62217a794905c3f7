import { describe, expect, it } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import type { CallOutput } from '../../../preload/api'
import {
  aboveThreshold,
  componentPlace,
  componentText,
  everyComponent,
  keptOf,
} from '../../../renderer/views/patch/kept'
import { receiverPlace, receiversOf, receiverText } from '../../../renderer/views/patch/receivers'
import { interleaved } from '../../../renderer/views/patch/scrub-alone'
import {
  deviation,
  scrubGroups,
  scrubJson,
  scrubRows,
  scrubTable,
} from '../../../renderer/views/patch/scrub-result'

const sizes = { layers: 4, heads: 4, kvHeads: 2 }
const refused = (run: () => unknown): string => {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof PatchbayError) return `${thrown.message} ${thrown.next ?? ''}`
    throw thrown
  }
  return ''
}

describe('receivers', () => {
  it('are written as heads with an input, MLPs and the logits, each once', () => {
    const found = receiversOf('L3H1 q, l2 MLP; L3h1,logits\nL0H1 v', sizes)
    expect(found.map(receiverText)).toEqual(['L3H1 q', 'L2 mlp', 'logits', 'L0H1 v'])
    expect(found.map((one) => receiverPlace(one, sizes))).toEqual([
      { hook: 'blocks.3.attn.hook_q', head: 1 },
      { hook: 'blocks.2.ln2.hook_normalized' },
      { hook: 'blocks.3.hook_resid_post' },
      { hook: 'blocks.0.attn.hook_v', head: 1 },
    ])
  })

  it('are refused where the model has no such part', () => {
    expect(refused(() => receiversOf('L4H0', sizes))).toContain('4 layers')
    expect(refused(() => receiversOf('L0H4 q', sizes))).toContain('4 heads')
    expect(refused(() => receiversOf('L0H2 k', sizes))).toContain('2 key/value heads')
    expect(refused(() => receiversOf('L0H2 mlp', sizes))).toContain('is no receiver')
    expect(refused(() => receiversOf('<b>', sizes))).toContain('L3H1 q, L2 mlp')
  })
})

describe('a kept set', () => {
  const every = everyComponent(sizes, 'heads')

  it('is written as heads, MLPs or whole layers, in the order of the model', () => {
    const kept = keptOf('L2 mlp, L1H3, L0', sizes, 'heads')
    expect(kept.map(componentText)).toEqual(['L0H0', 'L0H1', 'L0H2', 'L0H3', 'L0 mlp', 'L1H3', 'L2 mlp'])
    expect(kept.slice(-2).map(componentPlace)).toEqual([
      { hook: 'blocks.1.attn.hook_z', head: 3 },
      { hook: 'blocks.2.hook_mlp_out' },
    ])
    expect(keptOf('L1 attn', sizes, 'layers').map(componentPlace)).toEqual([
      { hook: 'blocks.1.hook_attn_out' },
    ])
  })

  it('is refused where there is no such component, or it is of another grain', () => {
    expect(refused(() => keptOf('L9', sizes, 'heads'))).toContain('4 layers with 4 heads')
    expect(refused(() => keptOf('L0H1', sizes, 'layers'))).toContain('Choose heads as the grain')
    expect(refused(() => keptOf('H1', sizes, 'heads'))).toContain('is no component')
  })

  it('is what lies above a threshold, whatever its sign; what is unknown never', () => {
    const values = every.map((_, i) => (i === 0 ? NaN : i === 1 ? -3 : i === 2 ? 2 : 0))
    expect(aboveThreshold(every, values, 2).map(componentText)).toEqual(['L0H1', 'L0H2'])
  })

  it('has the effects of heads and MLPs side by side', () => {
    const heads = Float32Array.of(1, 2, 3, 4)
    expect([...interleaved(heads, Float32Array.of(9, 8), 2)]).toEqual([1, 2, 9, 3, 4, 8])
    expect([...interleaved(heads, new Float32Array(), 2)]).toEqual([1, 2, NaN, 3, 4, NaN])
  })
})

describe('a scrubbing check', () => {
  const result = {
    evidence: { request: {} },
    direction: 'noising',
    ends: [{ clean: 3, corrupt: -1, problem: null }],
    circuits: [
      {
        kept: 2,
        replaced: 18,
        values: { shape: [1, 3], data: Float32Array.of(1, 2, 3) },
        mean: [2],
        normalised: [0.75],
      },
      {
        kept: 18,
        replaced: 2,
        values: { shape: [1, 1], data: Float32Array.of(0) },
        mean: [0],
        normalised: [0.25],
      },
    ],
  } as unknown as CallOutput<'sweep.scrub'>

  it('says how much draws differ, of one nothing', () => {
    expect(deviation([1, 2, 3])).toBe(1)
    expect(deviation([1])).toBeNull()
    expect(scrubRows(result)).toMatchObject([
      { name: 'kept only', kept: 2, replaced: 18, mean: 2, spread: 1, normalised: 0.75 },
      { name: 'all but kept', spread: null },
    ])
  })

  it('is a picture with both prompts, and a line for each draw', () => {
    expect(scrubGroups(result).map(({ name, values }) => [name, values.length])).toEqual([
      ['clean', 1],
      ['corrupt', 1],
      ['kept only', 3],
      ['all but kept', 1],
    ])
    const { rows } = scrubTable(result)
    expect([...rows].slice(2)).toEqual([
      ['kept only', 2, 18, 1, 1, 0.5],
      ['kept only', 2, 18, 2, 2, 0.75],
      ['kept only', 2, 18, 3, 3, 1],
      ['all but kept', 18, 2, 1, 0, 0.25],
    ])
    expect(JSON.parse(scrubJson(result, ['L0H1']))).toMatchObject({ kept: ['L0H1'], ends: result.ends })
  })
})
