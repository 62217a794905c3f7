/** Which operator sets a model may ask for. What is asked for is said with the first node that needs it. */
import type { FunctionProto, NodeProto } from '../proto/onnx_pb'
import { broken, shown, shownNode, unsupported } from './faults'
import type { OnnxNode } from './model'
import { domainOf } from './nodes'
import { subgraphsOf } from './subgraphs'

/** Versions of ONNX's own operators that are run; below 7 broadcasting was another, the upper bound is the runtime's. */
const OLDEST = 7
const NEWEST = 26

/** Domains whose operators ONNX Runtime brings with it. */
const builtIn: ReadonlySet<string> = new Set([
  '',
  'ai.onnx.ml',
  'ai.onnx.preview.training',
  'com.microsoft',
  'com.microsoft.nchwc',
])

/** @throws PatchbayError `file.malformed`, `model.unsupported`, naming the node */
export function checkOperators(
  nodes: readonly OnnxNode[],
  opsets: ReadonlyMap<string, number>,
  functions: readonly FunctionProto[],
): void {
  const own = new Set(functions.map(({ domain, name }) => `${domainOf(domain)}::${name}`))
  const check = (node: { domain: string; op: string; name: string }): void => {
    const version = opsets.get(node.domain)
    const field = node.name || node.op
    if (node.op === '') throw broken(`${shownNode(node)} has no operator`, { field })
    if (version === undefined)
      throw broken(
        `${shownNode(node)} belongs to the operator set ${shown(node.domain)}, which the model does not import`,
        { field },
      )
    if (node.domain === '' && (version < OLDEST || version > NEWEST))
      throw unsupported(
        `the model asks for operator set ${version} (first for ${shownNode(node)}); ${OLDEST} to ${NEWEST} are run here`,
        { field, next: `Export the model again for an operator set from ${OLDEST} to ${NEWEST}.` },
      )
    if (!builtIn.has(node.domain) && !own.has(`${node.domain}::${node.op}`))
      throw unsupported(`${shownNode(node)} is of the unknown domain ${shown(node.domain)}`, { field })
  }
  for (const node of nodes) {
    check(node)
    for (const graph of subgraphsOf(node.attributes)) for (const inner of allNodes(graph.node)) check(inner)
  }
}

/** Nodes of a subgraph and of those in it. */
function* allNodes(nodes: readonly NodeProto[]): Generator<{ domain: string; op: string; name: string }> {
  for (const node of nodes) {
    yield { domain: domainOf(node.domain), op: node.opType, name: node.name }
    for (const graph of subgraphsOf(node.attribute)) yield* allNodes(graph.node)
  }
}
