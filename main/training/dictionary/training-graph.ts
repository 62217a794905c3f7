/** The training graph of a dictionary: objective, gradients of all parameters, and what is watched while it trains. */
import { GraphBuilder } from '../../onnx/builder'
import { gradients } from '../../onnx/gradient'
import type { Graph, Value } from '../../onnx/graph'
import { weightShapes, type DictionaryConfig } from './config'
import { weightOf } from './nodes'
import { objective } from './objective'
import type { DictionarySettings } from './settings'

export const gradientOutput = (parameter: string): string => `gradient/${parameter}`
/** Name of the input by which a parameter is taken as constant. */
export const constantInput = (parameter: string): string => `constant/${parameter}`

/** Names and shapes of what is trained: the weights, with a threshold's logarithm in place of a threshold. */
export const parameterShapes = (config: DictionaryConfig): Map<string, number[]> =>
  new Map(
    [...weightShapes(config)].map(([name, shape]) => [name === 'threshold' ? 'log_threshold' : name, shape]),
  )

/**
 * Inputs: the parameters by name, some again as constants; `x` [rows, d_in], for transcoders `y` [rows, d_out]; `sparsity` [];
 * for topk `dead` [d_sae]. Outputs: `gradient/<parameter>`; scalars `loss`, `squared_error`, `penalty`, `l0` (mean number of
 * active features), `variance` (mean ‖y − mean y‖²); `fired` [d_sae], the largest activation; `row_errors` [rows].
 */
export function dictionaryTrainingGraph(config: DictionaryConfig, settings: DictionarySettings): Graph {
  const g = new GraphBuilder('dictionary_training')
  const weights = new Map<string, Value>()
  for (const [name, shape] of parameterShapes(config)) weights.set(name, g.input(name, 'float32', shape))
  const x = g.input('x', 'float32', ['rows', config.dIn])
  const y = config.transcoder ? g.input('y', 'float32', ['rows', config.dOut]) : x
  const made = objective(g, config, settings, {
    x,
    y,
    weights,
    constant: (name) =>
      g.once(constantInput(name), () =>
        g.input(constantInput(name), 'float32', weightOf(weights, name).shape),
      ),
    sparsity: g.input('sparsity', 'float32', []),
    dead: () => g.once('dead', () => g.input('dead', 'float32', [config.dSae])),
  })
  const found = gradients(g, made.cotangents, [...weights.values()])
  for (const [name, value] of weights) {
    const gradient = found.get(value)
    if (gradient !== undefined) g.output(gradient, gradientOutput(name))
  }
  const axis = (n: number): Value => g.integers([n])
  const mean = (value: Value): Value => g.op('ReduceMean', [value, axis(0)], { keepdims: 0 })
  const sum = (value: Value): Value => g.op('ReduceSum', [value, axis(-1)], { keepdims: 0 })
  const inactive = g.op('Cast', [g.op('Equal', [made.features, g.scalar(0)], {})], { to: 'float32' })
  const centred = g.op('Sub', [y, g.op('ReduceMean', [y, axis(0)], { keepdims: 1 })], {})
  g.output(g.op('Sub', [g.scalar(config.dSae), mean(sum(inactive))], {}), 'l0')
  g.output(mean(sum(g.op('Mul', [centred, centred], {}))), 'variance')
  g.output(g.op('ReduceMax', [made.features, axis(0)], { keepdims: 0 }), 'fired')
  g.output(made.rowErrors, 'row_errors')
  g.output(made.squaredError, 'squared_error')
  g.output(made.penalty, 'penalty')
  g.output(made.loss, 'loss')
  return g.finish()
}
