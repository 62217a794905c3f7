/** Answers of the attribution calls: right in shape, and such that parts can be told from one another. */
import type { ScoredEdge } from '../../../preload/attribution'
import type { ModelDescription } from '../../../preload/model'
import type { Tensor } from '../../../preload/tensor'
import type { Answers } from './synthetic-engine'
import { syntheticToken } from './synthetic-model'
import { evidenceOf } from './synthetic-views'

const tensor = (shape: number[], value: (i: number) => number): Tensor => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
})

export function attributionAnswers(model: ModelDescription): Answers {
  const { layers, heads } = model
  const wave = (i: number): number => Math.sin(i + 1)
  const ends = { clean: 3, corrupt: -1, problem: null }
  const map = (shape: number[]) => ({
    effect: tensor(shape, wave),
    normalised: tensor(shape, (i) => wave(i) / 4),
  })
  const edges: ScoredEdge[] = [
    { from: { kind: 'head', layer: 1, head: 2 }, to: { kind: 'logits' }, score: -2 },
    { from: { kind: 'mlp', layer: 0 }, to: { kind: 'q', layer: 1, head: 2 }, score: 1 },
    { from: { kind: 'embed' }, to: { kind: 'mlp', layer: 0 }, score: -0.5 },
    { from: { kind: 'head', layer: 0, head: 0 }, to: { kind: 'k', layer: 1, head: 1 }, score: 0.25 },
  ]
  return {
    'tokens.find': ({ text }) =>
      text === 'two parts'
        ? [syntheticToken(30), syntheticToken(31)]
        : [syntheticToken(text === 'Zed' ? 40 : 41)],
    'attribution.direct': ({ tokens, positive, negative, neurons }) => ({
      evidence: evidenceOf(model, tokens),
      position: tokens.length - 1,
      positive: syntheticToken(positive),
      negative: negative === null ? null : syntheticToken(negative),
      heads: tensor([layers, heads], (i) => i),
      attentionBias: new Float32Array(layers),
      mlps: new Float32Array(layers).fill(-0.5),
      embedding: 0.25,
      constant: 0.125,
      total: 7,
      uncapped: 7.001,
      remainder: 0.001,
      logit: 7.001,
      softcap: null,
      scale: 1.5,
      neurons:
        neurons === undefined
          ? null
          : { top: [{ layer: neurons.layer, neuron: 17, activation: 2, contribution: 0.75 }], rest: -1 },
      notes: ['The final norm’s scale is frozen.'],
    }),
    'attribution.tokens': ({ tokens, method, steps }) => {
      const integrated = method === 'integrated-gradients'
      return {
        evidence: evidenceOf(model, tokens),
        method,
        steps,
        scores: Float32Array.from(tokens, (_, i) => wave(i)),
        norms: Float32Array.from(tokens, () => 1),
        metric: 3,
        baselineMetric: integrated ? 1 : null,
        gap: integrated ? -0.5 : null,
      }
    },
    'attribution.patching': ({ clean, corrupt, direction }) => {
      const positions = direction === 'noising' ? clean.length : corrupt.length
      return {
        evidence: evidenceOf(model, clean),
        source: evidenceOf(model, corrupt),
        direction,
        ends,
        alignment: clean.map((_, i) => ({ left: i, right: i, same: true })),
        residPre: map([layers, positions]),
        attnOut: map([layers, positions]),
        mlpOut: map([layers, positions]),
        heads: map([layers, heads]),
        headsByPosition: null,
        neurons: [
          { layer: 0, neuron: 4, effect: -0.75, normalised: -0.1875 },
          { layer: 1, neuron: 9, effect: 0.5, normalised: 0.125 },
          { layer: 1, neuron: 2, effect: 0.25, normalised: 0.0625 },
        ],
        notes: [],
      }
    },
    'attribution.patch': ({ clean, direction, places }) => ({
      evidence: evidenceOf(model, clean),
      direction,
      ends,
      places: places.map((_, i) => ({ metric: i, effect: i + 0.5, normalised: null })),
    }),
    'attribution.edges': ({ clean, corrupt, method, top }) => ({
      evidence: evidenceOf(model, clean),
      source: evidenceOf(model, corrupt),
      method,
      ends,
      layers,
      heads,
      kvHeads: model.kvHeads,
      count: 479,
      edges: edges.slice(0, top),
      totalMagnitude: 5,
    }),
    'attribution.faithfulness': ({ clean, circuits }) => ({
      evidence: evidenceOf(model, clean),
      ends,
      circuits: circuits.map((circuit) => {
        const size = 'top' in circuit ? circuit.top : circuit.edges.length
        return { edges: size, metric: size / 100, faithfulness: size / 479 }
      }),
    }),
  }
}
