/** Puts nodes into topological order, and refuses graphs in which that is not possible. */
import { broken, shown, shownNode } from './faults'
import { linksOf, readsOf, type OnnxNode } from './model'

/**
 * The nodes in an order in which each comes after what it reads; unchanged where they are in one already.
 * @param given names of inputs and initialisers
 * @throws PatchbayError `file.malformed` for a value that is made twice or nowhere, and for a cycle, naming the nodes
 */
export function inOrder(nodes: readonly OnnxNode[], given: ReadonlySet<string>): OnnxNode[] {
  const made = new Set(given)
  for (const node of nodes)
    for (const name of node.outputs) {
      if (name === '') continue
      if (made.has(name))
        throw broken(`the value ${shown(name)} is made twice, the second time by ${shownNode(node)}`, {
          field: node.name || name,
        })
      made.add(name)
    }
  for (const node of nodes)
    for (const name of readsOf(node))
      if (!made.has(name))
        throw broken(`${shownNode(node)} reads ${shown(name)}, which nothing makes`, {
          field: node.name || name,
        })
  return isOrdered(nodes, given) ? [...nodes] : sorted(nodes)
}

function isOrdered(nodes: readonly OnnxNode[], given: ReadonlySet<string>): boolean {
  const known = new Set(given)
  return nodes.every((node) => {
    if (readsOf(node).some((name) => !known.has(name))) return false
    for (const name of node.outputs) known.add(name)
    return true
  })
}

/** Kahn's algorithm; among nodes that could come next, the first in the file. */
function sorted(nodes: readonly OnnxNode[]): OnnxNode[] {
  const { producer, consumers } = linksOf(nodes)
  const waitsFor = nodes.map((node) => new Set(readsOf(node).filter((name) => producer.has(name))).size)
  const ready = nodes.flatMap((_, index) => (waitsFor[index] === 0 ? [index] : []))
  const order: OnnxNode[] = []
  for (let next = ready.shift(); next !== undefined; next = ready.shift()) {
    order.push(nodes[next])
    for (const name of nodes[next].outputs)
      for (const index of name === '' ? [] : (consumers.get(name) ?? []))
        if (--waitsFor[index] === 0) ready.push(index)
  }
  if (order.length === nodes.length) return order
  const stuck = nodes.filter((_, index) => waitsFor[index] > 0)
  throw broken(`the graph runs in a circle: ${shownNode(firstOnCycle(stuck))} needs its own result`, {
    field: firstOnCycle(stuck).name,
  })
}

/** Going backwards among nodes that all wait for one another ends on a cycle. */
function firstOnCycle(stuck: readonly OnnxNode[]): OnnxNode {
  const { producer } = linksOf(stuck)
  const seen = new Set<number>()
  let at = 0
  while (!seen.has(at)) {
    seen.add(at)
    const before = readsOf(stuck[at]).find((name) => producer.has(name))
    at = before === undefined ? at : (producer.get(before) ?? at)
  }
  return stuck[at]
}
