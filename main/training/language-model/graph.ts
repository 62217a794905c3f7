/**
 * The training graph of a small decoder: embedding, all blocks, unembedding, loss, and the gradient of every weight, in
 * one graph. It is built by the builders that run models, with the weights as inputs where those point into files.
 */
import type { BlockSite, OuterSite } from '../../../preload/hooks'
import { PatchbayError } from '../../../preload/errors'
import { weightsOf, type TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import { gradients } from '../../onnx/gradient'
import type { Graph, Value } from '../../onnx/graph'
import { blockNodes } from '../../runtime/graph/block'
import { allFused, weightsIn, type AddWeight } from '../../runtime/graph/context'
import { embeddingNodes, unembeddingNodes } from '../../runtime/graph/ends'
import { Hooks } from '../../runtime/graph/hooks'
import { sharedNames } from '../../runtime/graph/segment'
import { plainVariant } from '../../runtime/graph/variant'
import { crossEntropy } from './cross-entropy'

export const gradientOutput = (weight: string): string => `gradient/${weight}`

/**
 * Inputs: each weight by its name; `tokens` [batch, pos] and `targets` [batch·pos, 1] int64; `positions` [batch, pos] where
 * positions are learned; `cos_r`, `sin_r` for each rotary embedding r; `bias_l` for each kind of attention bias. Outputs:
 * `loss` [], the mean cross-entropy in nats, and `gradient/<weight>` for each weight.
 * @throws PatchbayError `model.unsupported` for weights that are parts of a stored tensor
 */
export function trainingGraph(spec: TransformerSpec): Graph {
  const { g, values, logits } = begun('training', spec)
  const targets = g.input('targets', 'int64', ['batch*pos', 1])
  const { loss, gradient } = crossEntropy(g, logits, targets)
  const byWeight = gradients(g, new Map([[logits, gradient]]), [...values.values()])
  for (const [name, value] of values) g.output(weightValue(byWeight, value), gradientOutput(name))
  g.output(loss, 'loss')
  return g.finish()
}

/** The same inputs but targets. Output: `logits` [batch·pos, vocab]. */
export function logitsGraph(spec: TransformerSpec): Graph {
  const { g, logits } = begun('logits', spec)
  g.output(logits, 'logits')
  return g.finish()
}

function begun(name: string, spec: TransformerSpec) {
  const weights = weightsOf(spec)
  for (const { name, steps } of weights)
    if (steps.length > 0)
      throw new PatchbayError(
        'model.unsupported',
        `The weight ${name} is a part of a tensor; it can not be trained.`,
        {
          next: 'Train a family that keeps its matrices apart, such as Llama.',
          field: name,
        },
      )
  const g = new GraphBuilder(name)
  const values = new Map(weights.map(({ name, shape }) => [name, g.input(name, 'float32', shape)]))
  const add: AddWeight = (_, { name }) => weightValue(values, name)
  return { g, values, logits: forward(g, spec, add) }
}

/** The nodes from tokens to logits [batch·pos, vocab]. */
function forward(g: GraphBuilder, spec: TransformerSpec, add: AddWeight): Value {
  const shared = { g, ...weightsIn(g, add), lowering: allFused }
  const outer = { ...shared, hooks: new Hooks(g, plainVariant<OuterSite>()) }
  const inner = { ...shared, hooks: new Hooks(g, plainVariant<BlockSite>()) }
  const tokens = g.input('tokens', 'int64', ['batch', 'pos'])
  const positions = spec.embedding.positions === null ? null : g.input('positions', 'int64', ['batch', 'pos'])
  const input = (name: string, shape: readonly (string | number)[]): Value =>
    g.once(name, () => g.input(name, 'float32', shape))
  let x = g.reshape(embeddingNodes(outer, spec, tokens, positions), ['batch*pos', spec.dModel])
  for (const layer of spec.blocks.keys()) {
    const { rope, bias } = sharedNames(spec, 0, layer)
    const angles = (name: string): Value | null =>
      rope === null ? null : input(`${name}_${rope}`, ['batch', 'pos', spec.ropes[rope].dim / 2])
    const inputs = {
      cos: angles('cos'),
      sin: angles('sin'),
      bias: input(bias, ['?batch', '?head', 'pos', 'pos']),
      pastKey: null,
      pastValue: null,
    }
    x = blockNodes(inner, spec, layer, inputs, x).resid
  }
  return unembeddingNodes(outer, spec, x)
}

function weightValue<Key>(values: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = values.get(key)
  if (value === undefined) throw new PatchbayError('internal', 'The training graph lacks a weight.')
  return value
}
