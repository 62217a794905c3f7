/** What the builders of a graph's parts share: the graph, its weights, its hook points, and what the provider likes. */
import type { GraphBuilder } from '../../onnx/builder'
import type { Value } from '../../onnx/graph'
import type { Weight } from '../../models/weights'
import type { Hooks } from './hooks'
import { dense, isQuantised, type QuantisedMatrix } from './quantised'

/** Gives a weight to a graph, as external or inline initialisers; the same weight is added once. */
export type AddWeight = (g: GraphBuilder, weight: Weight) => Value | QuantisedMatrix

/** Which fused operators the provider computes well; the others are written out in plain ones. */
export interface Lowering {
  readonly fusedAttention: boolean
  readonly fusedRms: boolean
  readonly fusedRotary: boolean
}

export const allFused: Lowering = { fusedAttention: true, fusedRms: true, fusedRotary: true }

/** The weights of a graph. */
export interface WeightsIn {
  /** In float32, whatever they are kept in. */
  readonly weight: (weight: Weight) => Value
  /** As they are kept; for what can use quantised matrices. */
  readonly matrix: (weight: Weight) => Value | QuantisedMatrix
}

export interface Context<Site extends string> extends WeightsIn {
  readonly g: GraphBuilder
  readonly hooks: Hooks<Site>
  readonly lowering: Lowering
}

export const weightsIn = (g: GraphBuilder, addWeight: AddWeight): WeightsIn => ({
  weight: (weight) => {
    const added = addWeight(g, weight)
    return isQuantised(added) ? g.once(`${weight.name} in float32`, () => dense(g, added)) : added
  },
  matrix: (weight) => addWeight(g, weight),
})
