/**
 * The whole model as one graph, from the same builders: the floor that `patchbay bench` measures the block stack against,
 * and a second opinion in self-checks. It captures nothing and can not be changed.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import type { BlockSite, OuterSite } from '../../preload/hooks'
import type { Provider } from '../../preload/run'
import type { AttentionSpec, TransformerSpec } from '../models/spec'
import { GraphBuilder } from '../onnx/builder'
import type { Graph, Value } from '../onnx/graph'
import { blockNodes, pastInputs } from './graph/block'
import { weightsIn, type AddWeight, type Lowering } from './graph/context'
import { embeddingNodes, unembeddingNodes } from './graph/ends'
import { Hooks } from './graph/hooks'
import { plainVariant } from './graph/variant'
import { layoutOf, SharedInputs, type Layout } from './layout'
import type { PlacedWeights } from './placement'
import { floatData, floats, int64s, Session, type Feeds } from './session'

/** Blocks with equal keys share their attention bias. */
const biasKey = ({ window, alibi }: AttentionSpec): string =>
  `bias_${window ?? 'all'}_${alibi === null ? '' : 'alibi'}`

/**
 * Inputs as the blocks' graphs have them, once for all blocks, but `past_key_i` and `past_value_i` for each; `last` [batch]
 * int64 says which of the flattened columns' logits are wanted. Outputs: `logits` [batch, d_vocab], `present_key_i`,
 * `present_value_i`.
 */
export function wholeGraph(spec: TransformerSpec, addWeight: AddWeight, lowering: Lowering): Graph {
  const g = new GraphBuilder('whole')
  const weights = weightsIn(g, addWeight)
  const outer = { g, ...weights, lowering, hooks: new Hooks<OuterSite>(g, plainVariant()) }
  const inner = { g, ...weights, lowering, hooks: new Hooks<BlockSite>(g, plainVariant()) }
  const tokens = g.input('tokens', 'int64', ['batch', 'pos'])
  const positions = spec.embedding.positions === null ? null : g.input('positions', 'int64', ['batch', 'pos'])
  const angles = spec.ropes.map((rope, i) => ({
    cos: g.input(`cos_${i}`, 'float32', ['batch', 'pos', rope.dim / 2]),
    sin: g.input(`sin_${i}`, 'float32', ['batch', 'pos', rope.dim / 2]),
  }))
  const biases = new Map<string, Value>()
  for (const { attention } of spec.blocks) {
    const key = biasKey(attention)
    if (!biases.has(key)) biases.set(key, g.input(key, 'float32', ['?batch', '?head', 'pos', 'past+pos']))
  }
  let x = g.reshape(embeddingNodes(outer, spec, tokens, positions), ['batch*pos', spec.dModel])
  spec.blocks.forEach((block, layer) => {
    const rope = block.attention.rope === null ? { cos: null, sin: null } : angles[block.attention.rope]
    const bias = biases.get(biasKey(block.attention)) ?? x
    const result = blockNodes(inner, spec, layer, { ...rope, bias, ...pastInputs(g, block, `_${layer}`) }, x)
    g.output(result.presentKey, `present_key_${layer}`)
    g.output(result.presentValue, `present_value_${layer}`)
    x = result.resid
  })
  const last = g.op('Gather', [x, g.input('last', 'int64', ['batch'])], { axis: 0 })
  g.output(unembeddingNodes(outer, spec, last), 'logits')
  return g.finish()
}

/** A whole-model session with its own cache. */
export class WholeModel {
  #past: OrtTensor[] = []
  #length = 0

  private constructor(
    private readonly spec: TransformerSpec,
    private readonly session: Session,
  ) {}

  /** @param prepack rearranges weights for speed, at the price of a second copy of them in memory */
  static async create(
    spec: TransformerSpec,
    weights: PlacedWeights,
    provider: Provider,
    lowering: Lowering,
    prepack = true,
  ): Promise<WholeModel> {
    const graph = wholeGraph(spec, weights.add, lowering)
    return new WholeModel(spec, await Session.create(graph, { provider, folder: weights.folder, prepack }))
  }

  /** Forgets the tokens that were fed. */
  reset(): void {
    this.#past = []
    this.#length = 0
  }

  /**
   * Feeds tokens of one row behind those fed before; logits [d_vocab] at the last.
   * @param keep whether keys and values are kept for a next call
   */
  async feed(tokens: readonly number[], keep: boolean): Promise<Float32Array> {
    const cache = {
      columns: this.#length,
      keyPositions: Int32Array.from({ length: this.#length }, (_, i) => i),
    }
    const layout = layoutOf([tokens.length], { ...cache, lengths: () => [this.#length] })
    const presents = this.spec.blocks.flatMap((_, layer) => [
      `present_key_${layer}`,
      `present_value_${layer}`,
    ])
    const out = await this.session.run(this.#feeds(tokens, layout), ['logits', ...(keep ? presents : [])])
    if (keep) {
      this.#past = presents.map((name) => out[name])
      this.#length += tokens.length
    }
    return floatData(out.logits)
  }

  release(): Promise<void> {
    return this.session.release()
  }

  /** Inputs of the graph for one row of tokens that begins a sequence; for timing it elsewhere. */
  feedsOf(tokens: readonly number[]): Feeds {
    return this.#feeds(tokens, layoutOf([tokens.length]))
  }

  #feeds(tokens: readonly number[], layout: Layout): Feeds {
    const shared = new SharedInputs(layout)
    const feeds: Feeds = {
      tokens: int64s(tokens, [1, tokens.length]),
      last: int64s([tokens.length - 1], [1]),
    }
    const table = this.spec.embedding.positions
    if (table !== null)
      feeds.positions = int64s(
        Array.from(layout.queryPositions, (p) => p + table.offset),
        [1, tokens.length],
      )
    this.spec.ropes.forEach((rope, i) => {
      const { cos, sin } = shared.angles(rope)
      feeds[`cos_${i}`] = cos
      feeds[`sin_${i}`] = sin
    })
    this.spec.blocks.forEach(({ attention }, layer) => {
      const { kvHeads, headDim } = attention
      const none = floats(new Float32Array(0), [1, kvHeads, 0, headDim])
      feeds[biasKey(attention)] = shared.bias(attention)
      feeds[`past_key_${layer}`] = this.#past[2 * layer] ?? none
      feeds[`past_value_${layer}`] = this.#past[2 * layer + 1] ?? none
    })
    return feeds
  }
}
