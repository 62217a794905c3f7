/** The small block that providers are tested with: the operators that models use, on weights of a fixed pattern. */
import { weight } from '../models/weights'
import { layerNormed, rms } from '../models/architectures/norms'
import { linear } from '../models/architectures/parts'
import type { TransformerSpec } from '../models/spec'
import { sizeOf } from '../../preload/tensor'
import { GraphBuilder } from '../onnx/builder'
import type { Graph } from '../onnx/graph'
import { blockGraph } from './graph/block'
import { allFused } from './graph/context'
import { plainVariant } from './graph/variant'
import { layoutOf, SharedInputs } from './layout'
import { floats, type Feeds } from './session'

const D = 32
const HEADS = 4
const KV_HEADS = 2
const HEAD = 8
const TOKENS = 7

const spec: TransformerSpec = {
  family: 'self-test',
  dModel: D,
  vocab: 1,
  contextLength: TOKENS,
  embedding: { tokens: weight('unused', 1, D), multiplier: 1, projection: null, norm: null, positions: null },
  blocks: [
    {
      topology: 'sequential',
      attentionNorm: rms(1e-5)('ln1', D),
      attention: {
        heads: HEADS,
        kvHeads: KV_HEADS,
        headDim: HEAD,
        projections: {
          kind: 'separate',
          q: linear('q', D, HEADS * HEAD, true),
          k: linear('k', D, KV_HEADS * HEAD, false),
          v: linear('v', D, KV_HEADS * HEAD, false),
        },
        queryMultiplier: 1,
        clip: null,
        qNorm: null,
        kNorm: null,
        rope: 0,
        alibi: null,
        window: 5,
        scale: 1 / Math.sqrt(HEAD),
        softcap: null,
        sinks: null,
        output: linear('o', HEADS * HEAD, D, false),
      },
      attentionPostNorm: null,
      mlpNorm: layerNormed(1e-5)('ln2', D),
      mlp: {
        kind: 'gated',
        width: 48,
        activation: 'gelu_tanh',
        gate: linear('gate', D, 48, false),
        up: linear('up', D, 48, false),
        output: linear('down', 48, D, true),
      },
      mlpPostNorm: null,
      residualMultiplier: 1,
    },
  ],
  unembedding: {
    norm: null,
    projection: null,
    head: linear('head', D, 1, false),
    tied: false,
    multiplier: 1,
    softcap: null,
  },
  ropes: [{ base: 10000, dim: HEAD, interleaved: false, scaling: { kind: 'default' } }],
}

/** Numbers of about the size of weights and activations, the same everywhere. */
const pattern = (length: number, seed: number, scale: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => scale * Math.sin(12.9898 * (i + 1) + 78.233 * seed))

export const selfTestGraph = (): Graph =>
  blockGraph(
    spec,
    0,
    plainVariant(),
    (g, w) =>
      g.once(w.name, () =>
        g.inline(w.name, 'float32', w.shape, pattern(sizeOf(w.shape), w.name.length, 0.3)),
      ),
    allFused,
  )

/** Two rows of seven positions. */
export function selfTestFeeds(): Feeds {
  const shared = new SharedInputs(layoutOf([TOKENS, TOKENS]))
  const none = floats(new Float32Array(0), [2, KV_HEADS, 0, HEAD])
  return {
    resid: floats(pattern(2 * TOKENS * D, 5, 1), [2 * TOKENS, D]),
    bias: shared.bias(spec.blocks[0].attention),
    past_key: none,
    past_value: none,
    ...shared.angles(spec.ropes[0]),
  }
}

const SIDE = 768

/** A matrix product large enough to show what a provider is worth. */
export function multiplicationGraph(): Graph {
  const g = new GraphBuilder('multiplication')
  const w = g.inline('w', 'float32', [SIDE, SIDE], pattern(SIDE * SIDE, 3, 0.1))
  g.output(g.op('MatMul', [g.input('x', 'float32', [SIDE, SIDE]), w], {}), 'y')
  return g.finish()
}

export const multiplicationFeeds = (): Feeds => ({ x: floats(pattern(SIDE * SIDE, 4, 1), [SIDE, SIDE]) })
