/** What the builders of a graph's parts share: the graph, its weights, its hook points, and what the provider likes. */
import type { GraphBuilder } from '../../onnx/builder'
import type { Value } from '../../onnx/graph'
import type { Weight } from '../../models/weights'
import type { Hooks } from './hooks'

/** Gives a weight to a graph, as an external or inline initialiser; the same weight is added once. */
export type AddWeight = (g: GraphBuilder, weight: Weight) => Value

/** Which fused operators the provider computes well; the others are written out in plain ones. */
export interface Lowering {
  readonly fusedAttention: boolean
  readonly fusedRms: boolean
  readonly fusedRotary: boolean
}

export const allFused: Lowering = { fusedAttention: true, fusedRms: true, fusedRotary: true }

export interface Context<Site extends string> {
  readonly g: GraphBuilder
  readonly weight: (weight: Weight) => Value
  readonly hooks: Hooks<Site>
  readonly lowering: Lowering
}
