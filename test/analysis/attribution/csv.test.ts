import { describe, expect, it } from 'vitest'
import { directCsv, patchingCsv, tokensCsv } from '../../../main/analysis/attribution/csv'
import type { AttributionPatching, DirectAttribution } from '../../../preload/attribution'
import type { TokenInfo } from '../../../preload/prompt'
import { runRequest } from '../../../preload/run'

const evidence = {
  request: runRequest.parse({ model: '0'.repeat(64), rows: [[1, 2]] }),
  provenance: {
    fingerprint: '0'.repeat(64),
    modelName: '=evil, "model"',
    precision: 'float32',
    provider: 'cpu',
    requestHash: '1'.repeat(64),
    patchbay: 'test',
    certificate: null,
  },
} as const
const token = (id: number, text: string): TokenInfo => ({ id, piece: text, text, special: false })
const lines = (csv: string): string[] => csv.split('\n')

describe('tables of attributions', () => {
  it('say what they are, and show a token that looks like a formula as text', () => {
    const result = {
      evidence,
      method: 'gradient-input',
      steps: 1,
      scores: Float32Array.of(0.5, -0.25),
      norms: Float32Array.of(1, 2),
      metric: 1,
      baselineMetric: null,
      gap: null,
    } as const
    const table = lines(tokensCsv(result, [token(1, '=HYPERLINK("x")'), token(2, 'a\nb')]))
    expect(table[0]).toMatch(
      /^"# gradient-input of =evil, ""model"" \(0{64}\), float32 on cpu \(not certified\)/,
    )
    expect(table[1]).toBe('position,id,token,score,norm')
    expect(table[2]).toBe('0,1,"\'=HYPERLINK(""x"")",0.5,1')
    expect(table.slice(3).join('\n')).toBe('1,2,"a\nb",-0.25,2\n')
  })

  it('hold every part of a direct attribution once, and what they add up to', () => {
    const result: DirectAttribution = {
      evidence,
      position: 1,
      positive: token(1, 'a'),
      negative: null,
      heads: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      attentionBias: Float32Array.of(0, 0.5),
      mlps: Float32Array.of(5, 6),
      embedding: 7,
      constant: 8,
      total: 36.5,
      uncapped: 36.75,
      remainder: 0.25,
      logit: 36.75,
      softcap: null,
      scale: 1,
      neurons: { top: [{ layer: 1, neuron: 9, activation: 1, contribution: 0.125 }], rest: 0 },
      notes: [],
    }
    const rows = lines(directCsv(result)).slice(2, -1)
    expect(rows).toContain('head,1,0,,3')
    expect(rows).toContain('neuron,1,,9,0.125')
    const numbers = rows
      .filter((row) => !/^(neuron|logit)/.test(row))
      .map((row) => Number(row.slice(row.lastIndexOf(',') + 1)))
    expect(numbers.reduce((a, b) => a + b)).toBe(36.75)
    expect(rows.at(-1)).toBe('logit_before_softcap,,,,36.75')
  })

  it('leave the place of a position without a partner as nan, and effects that have no normalisation empty', () => {
    const result: AttributionPatching = {
      evidence,
      source: evidence,
      direction: 'noising',
      ends: { clean: 1, corrupt: 1, problem: 'same' },
      alignment: [],
      residPre: { effect: { shape: [1, 2], data: Float32Array.of(0.5, NaN) }, normalised: null },
      attnOut: null,
      mlpOut: null,
      heads: null,
      headsByPosition: {
        effect: { shape: [1, 1, 2], data: Float32Array.of(1, 2) },
        normalised: { shape: [1, 1, 2], data: Float32Array.of(3, 4) },
      },
      neurons: [{ layer: 0, neuron: 4, effect: 0.5, normalised: null }],
      notes: [],
    }
    expect(lines(patchingCsv(result, [token(1, 'a'), token(2, 'b')])).slice(2, -1)).toEqual([
      'resid_pre,0,,,0,a,0.5,',
      'resid_pre,0,,,1,b,nan,',
      'z_by_position,0,0,,0,a,1,3',
      'z_by_position,0,0,,1,b,2,4',
      'neuron,0,,4,,,0.5,',
    ])
  })
})
