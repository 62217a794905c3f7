/**
 * A mixture of experts. Each expert computes only the tokens that are routed to it, so a run costs what the chosen experts
 * cost and an expert that nobody chose is not read.
 */
import type { BlockSite } from '../../../preload/hooks'
import type { MixtureSpec } from '../../models/spec'
import type { GraphBuilder } from '../../onnx/builder'
import type { Dim, Value } from '../../onnx/graph'
import type { Context } from './context'
import { gated } from './gated'
import { linear } from './linear'

/** x [tokens, d_model] → [tokens, d_model], with the hook points of router and experts. */
export function mixture(context: Context<BlockSite>, spec: MixtureSpec, x: Value): Value {
  const { g, hooks } = context
  const count = spec.experts.length
  const dims: Dim[] = ['batch', 'pos', count]
  const logits = hooks.at('mlp.hook_router_logits', linear(context, spec.router, x), dims)
  const weights = hooks.at('mlp.hook_expert_weights', routed(g, spec, logits), dims)
  const columns = g.ops(
    'Split',
    [weights, g.integers(Array<number>(count).fill(1))],
    { axis: 1 },
    spec.experts.map((_, expert) => `weight_${expert}`),
  )
  const nothing = zeros(g, x)
  const contributions = columns.map((column, expert) => contribution(context, spec, expert, column, x))
  const added = (sum: Value, { rows, output }: Contribution): Value =>
    g.op('ScatterND', [sum, rows, output], { reduction: 'add' })
  if (!hooks.wants('mlp.hook_expert_outputs')) return contributions.reduce(added, nothing)

  const width = x.shape[1]
  const each = contributions.map((one) => g.reshape(added(nothing, one), ['batch*pos', 1, width]))
  const outputs = g.op('Concat', each, { axis: 1 })
  const hooked = hooks.at('mlp.hook_expert_outputs', outputs, [...dims, width])
  return g.op('ReduceSum', [hooked, g.integers([1])], { keepdims: 0 })
}

/** Each expert's weight for each token, [tokens, expert]; zero for those that are not among the top k. */
function routed(g: GraphBuilder, spec: MixtureSpec, logits: Value): Value {
  const first = spec.weighting === 'softmax-first'
  const scores = first ? g.op('Softmax', [logits], { axis: -1 }) : logits
  const [top, chosen] = g.ops(
    'TopK',
    [scores, g.integers([spec.topK])],
    { axis: -1, largest: 1, sorted: 1 },
    ['top', 'chosen'],
  )
  const shares = first ? top : g.op('Softmax', [top], { axis: -1 })
  const sum = (): Value => g.op('ReduceSum', [shares, g.integers([-1])], { keepdims: 1 })
  const weights = spec.normalise ? g.op('Div', [shares, sum()], {}) : shares
  return g.op('ScatterElements', [zeros(g, logits), chosen, weights], { axis: 1 })
}

interface Contribution {
  /** Indices of the tokens, [n, 1] */
  readonly rows: Value
  /** [n, d_model] */
  readonly output: Value
}

/** What an expert adds to the tokens for which its weight [tokens, 1] is not zero. */
function contribution(
  context: Context<BlockSite>,
  spec: MixtureSpec,
  expert: number,
  weight: Value,
  x: Value,
): Contribution {
  const { g } = context
  const found = g.op('NonZero', [g.reshape(weight, ['batch*pos'])], {}, `tokens_${expert}`)
  const count = found.shape[1]
  const tokens = g.reshape(found, [count])
  const output = gated(context, spec.experts[expert], g.op('Gather', [x, tokens], { axis: 0 }))
  const share = g.op('Gather', [weight, tokens], { axis: 0 })
  return { rows: g.reshape(found, [count, 1]), output: g.op('Mul', [output, share], {}) }
}

const zeros = (g: GraphBuilder, like: Value): Value =>
  g.op('Expand', [g.scalar(0), g.op('Shape', [like], {})], {})
