/** Axes and the like, which older operator sets write as attributes and newer ones as inputs. */
import { integersOf } from '../attributes'
import { GivesUp, type Application } from './known'

/** The `axes` of a node: from the attribute, or the constant input `index`; null where there are none. */
export function axesOf(application: Application, index: number, name = 'axes'): readonly number[] | null {
  const attribute = integersOf(application.node, name)
  if (attribute !== null) return attribute
  const operand = application.inputs.at(index) ?? null
  if (operand === null || index >= application.inputs.length) return null
  return constantsOf(application, index)
}

/** The numbers of an input that must be known. */
export function constantsOf({ inputs }: Application, index: number): readonly number[] {
  const numbers = inputs[index]?.integers?.map((dim) => (typeof dim === 'number' ? dim : null))
  if (numbers === undefined || numbers.includes(null)) throw new GivesUp()
  return numbers.filter((number) => number !== null)
}
