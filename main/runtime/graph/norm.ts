/** RMSNorm and LayerNorm: as one operator, or written out where their inner hook points are wanted. */
import type { NormSpec } from '../../models/spec'
import type { Dim, Value } from '../../onnx/graph'
import type { Context } from './context'

/** The two hook points inside a norm. */
export interface NormSites<Site extends string> {
  readonly scale: Site
  readonly normalized: Site
}

/**
 * Normalises x [tokens, width] over its last axis. `null` as spec is the identity.
 * @param sites where the norm has hook points: the divisor √(mean(x²) + eps) of the (for LayerNorm: centred) input, and
 *   the quotient before weight and bias, as TransformerLens has them.
 */
export function norm<Site extends string>(
  context: Context<Site>,
  spec: NormSpec | null,
  x: Value,
  sites?: NormSites<Site>,
): Value {
  if (spec === null) return x
  const { g, weight, hooks, lowering } = context
  const hooked = sites !== undefined && hooks.wants(sites.scale, sites.normalized)
  if (!hooked && (spec.kind === 'layer' || lowering.fusedRms)) return fused(context, spec, x)

  const last = g.integers([-1])
  const centred =
    spec.kind === 'layer' ? g.op('Sub', [x, g.op('ReduceMean', [x, last], { keepdims: 1 })], {}) : x
  const square = g.op('ReduceMean', [g.op('Mul', [centred, centred], {}), last], { keepdims: 1 })
  let scale = g.op('Sqrt', [g.op('Add', [square, g.scalar(spec.eps)], {})], {})
  const leading: Dim[] = ['batch', 'pos', ...x.shape.slice(1, -1)]
  if (sites !== undefined) scale = hooks.at(sites.scale, scale, [...leading, 1])
  let result = g.op('Div', [centred, scale], {})
  if (sites !== undefined)
    result = hooks.at(sites.normalized, result, [...leading, x.shape[x.shape.length - 1]])
  if (spec.weight !== null) result = g.op('Mul', [result, weight(spec.weight)], {})
  return spec.bias === null ? result : g.op('Add', [result, weight(spec.bias)], {})
}

function fused({ g, weight }: Context<string>, spec: NormSpec, x: Value): Value {
  const width = x.shape[x.shape.length - 1]
  const perHead = spec.weight !== null && spec.weight.shape.length > 1
  const scale = spec.weight === null || perHead ? g.ones(Number(width)) : weight(spec.weight)
  const attributes = { axis: -1, epsilon: spec.eps }
  if (!perHead) {
    if (spec.kind === 'rms') return g.op('RMSNormalization', [x, scale], attributes)
    const bias = spec.bias === null ? [] : [weight(spec.bias)]
    return g.op('LayerNormalization', [x, scale, ...bias], attributes)
  }
  const plain = g.op(spec.kind === 'rms' ? 'RMSNormalization' : 'LayerNormalization', [x, scale], attributes)
  const weighted = g.op('Mul', [plain, weight(spec.weight)], {})
  return spec.bias === null ? weighted : g.op('Add', [weighted, weight(spec.bias)], {})
}
