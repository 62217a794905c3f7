/** What is known of a value of a graph before anything runs. */
import type { ElementType } from '../../element-types'
import type { Dim } from '../../graph'
import type { OnnxNode } from '../model'
import type { FreshSymbols } from './dims'

export interface Known {
  readonly type: ElementType | null
  /** Null where not even the number of axes is known. */
  readonly shape: readonly Dim[] | null
  /** Elements of a small vector or scalar of integers (shapes, axes, bounds), as numbers or symbols. */
  readonly integers: readonly Dim[] | null
  /** Elements of a small constant. */
  readonly numbers: readonly number[] | null
  /** Whether it depends on nothing that is fed. */
  readonly constant: boolean
}

export const unknown: Known = { type: null, shape: null, integers: null, numbers: null, constant: false }

/** A node with what is known of its inputs; a null stands for an optional input that is left out. */
export interface Application {
  readonly node: OnnxNode
  readonly inputs: readonly (Known | null)[]
  readonly fresh: FreshSymbols
  /** Version of ONNX's own operators. */
  readonly opset: number
}

export interface Typed {
  readonly type: ElementType | null
  readonly shape: readonly Dim[] | null
}

export const typed = (type: ElementType | null, shape: readonly Dim[] | null): Typed => ({ type, shape })

/** An input that a rule needs. A rule that asks for one that is absent or unknown gives up. */
export class GivesUp extends Error {}

export function input({ inputs }: Application, index: number): Known {
  const found = inputs.at(index) ?? null
  if (found === null || index >= inputs.length) throw new GivesUp()
  return found
}

export function shapeOf(application: Application, index: number): readonly Dim[] {
  const { shape } = input(application, index)
  if (shape === null) throw new GivesUp()
  return shape
}

export function axisIn(axis: number, rank: number): number {
  const index = axis < 0 ? axis + rank : axis
  if (index < 0 || index >= rank) throw new GivesUp()
  return index
}
