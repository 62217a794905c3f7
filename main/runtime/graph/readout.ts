/** Graphs that unembed residual-stream rows and reduce the logits to a few numbers a row. */
import type { OuterSite } from '../../../preload/hooks'
import type { TransformerSpec } from '../../models/spec'
import { GraphBuilder } from '../../onnx/builder'
import { product, type Graph } from '../../onnx/graph'
import { weightsIn, type AddWeight, type Context, type Lowering } from './context'
import { unembeddingNodes } from './ends'
import { Hooks } from './hooks'
import { softmaxParts, sumOfRow } from './softmax'
import { plainVariant } from './variant'

/**
 * Inputs: `resid` [rows, d_model]; `wanted` [k], whose length says how many top tokens; `targets` [rows, t] int64, indices
 * into the flattened logits. Outputs, with x the logits less their maximum and p their softmax: `max` [rows, 1]; `peak`
 * max p = 1 / Σ exp x [rows, 1]; `weighted` Σ p x [rows, 1]; `topLogits`, `topIds` [rows, k]; `targetLogits` and
 * `targetRanks` [rows, t].
 */
export function readoutGraph(spec: TransformerSpec, addWeight: AddWeight, lowering: Lowering): Graph {
  const { g, context } = start('readout', addWeight, lowering)
  const resid = g.input('resid', 'float32', ['rows', spec.dModel])
  const wanted = g.input('wanted', 'float32', ['k'])
  const targets = g.input('targets', 'int64', ['rows', 't'])
  const logits = unembeddingNodes(context, spec, resid)

  const { max, shifted, p, peak } = softmaxParts(g, logits)
  g.output(max, 'max')
  g.output(peak, 'peak')
  g.output(sumOfRow(g, g.op('Mul', [p, shifted], {}), 1), 'weighted')

  const [topLogits, topIds] = g.ops(
    'TopK',
    [logits, g.op('Shape', [wanted], {})],
    { axis: -1, largest: 1, sorted: 1 },
    ['top', 'top_ids'],
  )
  g.output(topLogits, 'topLogits')
  g.output(topIds, 'topIds')

  const flat = g.reshape(logits, [product(['rows', spec.vocab])])
  const targetLogits = g.op('Gather', [flat, targets], { axis: 0 })
  const each = g.reshape(targetLogits, ['rows', 't', 1])
  // A logit is at or below the target's where the larger of the two is the target's.
  const larger = g.op('Max', [g.reshape(logits, ['rows', 1, spec.vocab]), each], {})
  const notAbove = g.op('Cast', [g.op('Equal', [larger, each], {})], { to: 'float32' })
  g.output(g.op('Sub', [g.scalar(spec.vocab), sumOfRow(g, notAbove, 0)], {}), 'targetRanks')
  g.output(targetLogits, 'targetLogits')
  return g.finish()
}

/**
 * Inputs: `p`, `q` [rows, d_model]. Outputs, with x, y their logits less the maximum and p the softmax of x: `peakP`
 * 1 / Σ exp x, `peakQ` 1 / Σ exp y and `weighted` Σ p (x − y), [rows, 1] each; KL(p ‖ q) = weighted + log peakP − log peakQ.
 */
export function divergenceGraph(spec: TransformerSpec, addWeight: AddWeight, lowering: Lowering): Graph {
  const { g, context } = start('divergence', addWeight, lowering)
  const [p, q] = ['p', 'q'].map((name) => {
    const resid = g.input(name, 'float32', ['rows', spec.dModel])
    return softmaxParts(g, unembeddingNodes(context, spec, resid))
  })
  g.output(p.peak, 'peakP')
  g.output(q.peak, 'peakQ')
  const difference = g.op('Sub', [p.shifted, q.shifted], {})
  g.output(sumOfRow(g, g.op('Mul', [p.p, difference], {}), 1), 'weighted')
  return g.finish()
}

function start(name: string, addWeight: AddWeight, lowering: Lowering) {
  const g = new GraphBuilder(name)
  const context: Context<OuterSite> = {
    g,
    ...weightsIn(g, addWeight),
    hooks: new Hooks(g, plainVariant<OuterSite>()),
    lowering,
  }
  return { g, context }
}
