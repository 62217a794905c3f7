/**
 * What each kind of dictionary is trained to minimise, as nodes of a graph. With y the activations to reconstruct (x itself
 * for an autoencoder) and ŷ the reconstruction, all means over rows:
 *
 * - standard: ‖y − ŷ‖² + λ Σᵢ fᵢ ‖W_dec,ᵢ‖ (Bricken et al. 2023; the decoder's norms in the penalty instead of fixed ones:
 *   Conerly et al., "Update on how we train SAEs", April 2024)
 * - topk: ‖y − ŷ‖² + α ‖e − ê‖², e = y − ŷ taken as constant, ê what the k_aux most active dead features make of it (Gao et
 *   al., arXiv:2406.04093, AuxK)
 * - jumprelu: ‖y − ŷ‖² + λ Σᵢ H(zᵢ − θᵢ), with pseudo-derivatives by θ of kernel K (Rajamanoharan et al., arXiv:2407.14435):
 *   ∂f/∂θ = −(θ/ε) K((z − θ)/ε), ∂H/∂θ = −(1/ε) K((z − θ)/ε), K the rectangle of width 1
 * - gated: ‖y − ŷ‖² + λ Σᵢ relu(πᵢ) + ‖y − ŷ_frozen(relu(π))‖², π the gate before it opens, the decoder of the last term
 *   taken as constant (Rajamanoharan et al., arXiv:2404.16014)
 *
 * "Taken as constant" is an input of its own that is fed the same numbers and is no target of differentiation. The pseudo-
 * derivatives are a term that is zero in value, c · (θ − θ_constant), whose derivative by ordinary rules is c.
 */
import type { GraphBuilder } from '../../onnx/builder'
import type { Value } from '../../onnx/graph'
import type { DictionaryConfig } from './config'
import { decodeNodes, decoderNorms, encodeNodes, greater, topk, weightOf, type WeightValues } from './nodes'
import type { DictionarySettings } from './settings'

export interface Objective {
  readonly features: Value
  readonly reconstruction: Value
  /** Of the loss, scalars: squared error, penalty without λ, whole. */
  readonly squaredError: Value
  readonly penalty: Value
  readonly loss: Value
  /** Squared error of each row [rows]. */
  readonly rowErrors: Value
  /** Gradients that come from outside: 1 at the loss, and AuxK's at what the dead features make. */
  readonly cotangents: ReadonlyMap<Value, Value>
}

export interface ObjectiveInputs {
  readonly x: Value
  readonly y: Value
  /** Trained weights, by the names of parameters. */
  readonly weights: WeightValues
  /** The same as constants, by name, where the objective needs them. */
  readonly constant: (name: string) => Value
  /** λ */
  readonly sparsity: Value
  /** 1 for dead features [d_sae]; only asked for by topk. */
  readonly dead: () => Value
}

export function objective(
  g: GraphBuilder,
  config: DictionaryConfig,
  settings: DictionarySettings,
  inputs: ObjectiveInputs,
): Objective {
  const { x, y, weights, sparsity } = inputs
  const w = config.activation === 'jumprelu' ? withThreshold(g, weights) : weights
  const { pre, features, undo } = encodeNodes(g, config, w, x)
  const estimator = config.activation === 'jumprelu' ? straightThrough(g, settings, inputs, w, pre) : null
  const used = estimator === null ? features : g.op('Add', [features, estimator.features], {})
  const reconstruction = decodeNodes(g, config, w, used, undo, x)
  const error = g.op('Sub', [y, reconstruction], {})
  const rowErrors = sumOfRow(g, g.op('Mul', [error, error], {}))
  const squaredError = mean(g, rowErrors)

  const penalty = ((): Value => {
    switch (config.activation) {
      case 'standard':
        return meanOfSums(g, g.op('Mul', [features, decoderNorms(g, weightOf(w, 'W_dec'))], {}))
      case 'topk':
        return g.scalar(0)
      case 'jumprelu':
        return meanOfSums(g, estimator === null ? features : estimator.open)
      case 'gated':
        return meanOfSums(g, g.op('Relu', [pre], {}))
    }
  })()
  const terms = [squaredError]
  if (config.activation !== 'topk') terms.push(g.op('Mul', [sparsity, penalty], {}))
  if (config.activation === 'gated') terms.push(gateError(g, config, inputs, pre))
  const aux =
    config.activation === 'topk' && settings.auxK > 0 ? auxK(g, config, settings, inputs, pre, error) : null
  const ofLoss = terms.reduce((a, b) => g.op('Add', [a, b], {}))
  const cotangents = new Map([[ofLoss, g.scalar(1)]])
  if (aux !== null) cotangents.set(aux.made, aux.gradient)
  const loss = aux === null ? ofLoss : g.op('Add', [ofLoss, aux.loss], {})
  return { features, reconstruction, squaredError, penalty, loss, rowErrors, cotangents }
}

/** θ = exp of the parameter log_threshold, which keeps it positive. */
function withThreshold(g: GraphBuilder, weights: WeightValues): WeightValues {
  return new Map([...weights, ['threshold', g.op('Exp', [weightOf(weights, 'log_threshold')], {})]])
}

/** Terms that are zero in value, by which θ has the pseudo-derivatives of the features and of H. */
function straightThrough(
  g: GraphBuilder,
  { bandwidth }: DictionarySettings,
  { constant }: ObjectiveInputs,
  weights: WeightValues,
  pre: Value,
): { features: Value; open: Value } {
  const threshold = weightOf(weights, 'threshold')
  const fixed = g.op('Exp', [constant('log_threshold')], {})
  const zero = g.op('Sub', [threshold, fixed], {})
  const distance = g.op('Sub', [pre, fixed], {})
  const absolute = g.op('Max', [distance, g.op('Neg', [distance], {})], {})
  const inside = greater(g, g.scalar(bandwidth / 2), absolute)
  const density = g.op('Mul', [inside, g.scalar(-1 / bandwidth)], {})
  const ofOpen = g.op('Mul', [density, zero], {})
  return {
    features: g.op('Mul', [g.op('Mul', [density, fixed], {}), zero], {}),
    open: g.op('Add', [greater(g, pre, threshold), ofOpen], {}),
  }
}

/** ‖y − ŷ_frozen(relu(π))‖² */
function gateError(
  g: GraphBuilder,
  config: DictionaryConfig,
  { y, constant }: ObjectiveInputs,
  pre: Value,
): Value {
  const frozen = new Map(['W_dec', 'b_dec'].map((name) => [name, constant(name)]))
  const plain = { ...config, skip: false }
  const made = decodeNodes(g, plain, frozen, g.op('Relu', [pre], {}), (value) => value, null)
  const error = g.op('Sub', [y, made], {})
  return mean(g, sumOfRow(g, g.op('Mul', [error, error], {})))
}

/** The loss of what dead features make of the error, and its gradient by that. */
function auxK(
  g: GraphBuilder,
  { dSae }: DictionaryConfig,
  { auxK: most, auxWeight }: DictionarySettings,
  { weights, dead }: ObjectiveInputs,
  pre: Value,
  error: Value,
): { loss: Value; made: Value; gradient: Value } {
  const isDead = dead()
  // What lives is pushed so far down that it is chosen last, and the relu takes it away.
  const pushed = g.op('Mul', [g.op('Sub', [isDead, g.scalar(1)], {}), g.scalar(1e30)], {})
  const ofDead = g.op('Add', [g.op('Mul', [pre, isDead], {}), pushed], {})
  const features = topk(g, ofDead, Math.min(most, dSae))
  const made = g.op('MatMul', [features, weightOf(weights, 'W_dec')], {})
  const missing = g.op('Sub', [made, error], {})
  const loss = g.op(
    'Mul',
    [mean(g, sumOfRow(g, g.op('Mul', [missing, missing], {}))), g.scalar(auxWeight)],
    {},
  )
  const rows = g.op('Cast', [g.op('Shape', [error], { start: 0, end: 1 })], { to: 'float32' })
  const factor = g.op('Div', [g.scalar(2 * auxWeight), rows], {})
  return { loss, made, gradient: g.op('Mul', [missing, factor], {}) }
}

const sumOfRow = (g: GraphBuilder, x: Value): Value =>
  g.op('ReduceSum', [x, g.integers([-1])], { keepdims: 0 })
const mean = (g: GraphBuilder, x: Value): Value => g.op('ReduceMean', [x, g.integers([0])], { keepdims: 0 })
const meanOfSums = (g: GraphBuilder, x: Value): Value => mean(g, sumOfRow(g, x))
