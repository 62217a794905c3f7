/**
 * Walks the residual stream backwards, from what the unembedding reads to the embedding: at each addition the stream is
 * the operand that the others depend on.
 */
import type { GraphView } from './graph-view'
import type { Norm, Norms } from './norms'

export interface Step {
  /** The stream before and after, under its first names. */
  readonly before: string
  readonly after: string
  /** What is added to it: one value, or several that are computed side by side. */
  readonly branches: readonly string[]
  /** A norm on the sum, where the stream itself is normalised. */
  readonly norm: Norm | null
}

/** Attention, MLP and a few multiples of them side by side; more would be something else. */
const MOST_BRANCHES = 4

/** The steps of the stream that ends in `end`, in order of computation, and the value that it starts from. */
export function walkStream(view: GraphView, norms: Norms, end: string): { start: string; steps: Step[] } {
  const steps: Step[] = []
  let after = view.root(end)
  for (;;) {
    const norm = isSum(view, after) ? null : (norms.byOutput.get(after) ?? null)
    const total = norm === null ? after : norm.input
    const split = splitSum(view, total)
    if (split === null) return { start: after, steps: steps.reverse() }
    steps.push({ ...split, after, norm })
    after = split.before
  }
}

const isSum = (view: GraphView, value: string): boolean => view.maker(value)?.op === 'Add'

/** The stream and the branches that a sum is made of; null where no operand is the stream. */
function splitSum(view: GraphView, total: string): { before: string; branches: string[] } | null {
  let addends = addendsOf(view, total)
  while (addends !== null && addends.length <= MOST_BRANCHES) {
    const all = addends
    const before = all.find((one) =>
      all.every((other) => other === one || view.dependsOn(other, view.root(one))),
    )
    if (before !== undefined)
      return { before: view.root(before), branches: all.filter((other) => other !== before) }
    addends = expanded(view, all)
  }
  return null
}

/** The two operands of an addition of equals in shape; null where a bias or a mask is added. */
export function addendsOf(view: GraphView, value: string): string[] | null {
  const node = view.maker(view.root(value))
  if (node?.op !== 'Add' || node.inputs.some((name) => view.isConstant(name))) return null
  const [a, b] = node.inputs.map((name) => view.shape(name)?.join())
  return a === b ? [...node.inputs] : null
}

/** The same sum with the last addend that is itself one taken apart. */
function expanded(view: GraphView, addends: readonly string[]): string[] | null {
  const latest = addends.toSorted((a, b) => view.place(b) - view.place(a))
  for (const addend of latest) {
    const parts = addendsOf(view, addend)
    if (parts !== null) return [...addends.filter((other) => other !== addend), ...parts]
  }
  return null
}
