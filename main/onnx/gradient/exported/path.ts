/** Which nodes of an exported graph lie between the targets and the values that the metric depends on. */
import type { Known } from '../../exported/infer/known'
import { readsOf, type OnnxNode } from '../../exported/model'
import { passes, quantising, steps } from './elementwise'

/** In order; each reads something that changes with a target, and a cotangent changes with each. */
export function nodesBetween(
  nodes: readonly OnnxNode[],
  known: ReadonlyMap<string, Known>,
  targets: Iterable<string>,
  cotangents: Iterable<string>,
): OnnxNode[] {
  const { values, changing } = followed(nodes, known, targets)
  const wanted = new Set(cotangents)
  const path = changing.toReversed().filter((node) => {
    if (!node.outputs.some((name) => wanted.has(name))) return false
    for (const name of readsOf(node)) if (values.has(name)) wanted.add(name)
    return true
  })
  return path.reverse()
}

/** The values that a small change of one of `targets` reaches, themselves among them. */
export const reachedFrom = (
  nodes: readonly OnnxNode[],
  known: ReadonlyMap<string, Known>,
  targets: Iterable<string>,
): ReadonlySet<string> => followed(nodes, known, targets).values

function followed(
  nodes: readonly OnnxNode[],
  known: ReadonlyMap<string, Known>,
  targets: Iterable<string>,
): { values: Set<string>; changing: OnnxNode[] } {
  const values = new Set(targets)
  const changing = nodes.filter((node) => {
    if (isStep(node) || !readsOf(node).some((name) => values.has(name))) return false
    const rounds = quantising.has(node.op)
    const floats = node.outputs.filter(
      (name) => name !== '' && (rounds || passes(known.get(name)?.type ?? null)),
    )
    for (const name of floats) values.add(name)
    return floats.length > 0
  })
  return { values, changing }
}

const isStep = ({ domain, op }: OnnxNode): boolean => domain === '' && steps.has(op)
