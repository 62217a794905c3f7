/**
 * How much of a metric a circuit keeps (Hanna, Pezzelle & Belinkov 2024, section 2; Conmy et al. 2023): the clean prompt is run
 * with edges patched one by one. The input of each node is the corrupt run's input, plus, for each edge of the circuit, by how
 * much its source's output in this very run differs from the corrupt run's; so an edge outside carries the corrupt activation.
 */
import type { Circuit, Faithfulness } from '../../../../preload/attribution'
import { PatchbayError } from '../../../../preload/errors'
import { runRequest } from '../../../../preload/run'
import { throwIfCancelled } from '../../../runtime/cancelled'
import { captureInput } from '../../captures'
import { evidenceOf } from '../../evidence'
import type { RunOptions } from '../../subject'
import { logitsFor } from '../metric'
import { endsOf, metricOfPrompt, normalised, type Pair } from '../pair'
import { insidesOf, type AttributionModel } from '../subject'
import { CircuitRun } from './circuit-run'
import { edgeGraph, EdgeNumbers, type EdgeGraph } from './graph'
import { headWritings } from './head-writing'
import { edgePair, edgeScores, type EdgeScoring } from './score'
import { checkSize, sourceHooks } from './sources'

/**
 * @throws PatchbayError `model.unsupported` for models without an edge graph, `input.invalid` for an edge that is not there
 */
export async function faithfulness(
  model: AttributionModel,
  request: EdgeScoring & { circuits: readonly Circuit[] },
  options: RunOptions = {},
): Promise<Faithfulness> {
  const insides = insidesOf(model, 'a circuit of edges')
  const { spec } = insides
  const graph = edgeGraph(spec, model.facts.name)
  const pair = edgePair(model, request)
  checkSize(graph, spec, pair.clean.tokens.length)
  const { signal } = options
  const kept: ReadonlySet<number>[] = []
  for (const circuit of request.circuits) kept.push(await edgesOf(model, graph, circuit, request, { signal }))
  const clean = await metricOfPrompt(model, pair.clean, { signal })
  const corrupt = await metricOfPrompt(model, pair.corrupt, { signal })
  const ends = endsOf(clean, corrupt)
  const run = await circuitRun(model, graph, pair, { signal })
  const circuits: Faithfulness['circuits'] = []
  for (const [i, edges] of kept.entries()) {
    const metric = await run.metric(edges, signal, (layer) => {
      throwIfCancelled(signal)
      options.onProgress?.(i * spec.blocks.length + layer + 1, kept.length * spec.blocks.length)
    })
    circuits.push({ edges: edges.size, metric, faithfulness: normalised(ends, metric) })
  }
  const cleanInput = {
    request: runRequest.parse({
      model: model.facts.fingerprint,
      rows: [pair.clean.tokens],
      logits: logitsFor([pair.clean.metric]),
    }),
    tensors: {},
  }
  return { evidence: evidenceOf(model, cleanInput), ends, circuits }
}

/** Numbers of a circuit's edges. */
async function edgesOf(
  model: AttributionModel,
  graph: EdgeGraph,
  circuit: Circuit,
  scoring: EdgeScoring,
  options: RunOptions,
): Promise<ReadonlySet<number>> {
  if ('edges' in circuit) {
    const numbers = new EdgeNumbers(graph)
    return new Set(circuit.edges.map((edge) => numbers.of(edge)))
  }
  if (circuit.top === 0) return new Set()
  if (circuit.top >= graph.count) return new Set(Array.from({ length: graph.count }, (_, edge) => edge))
  const { order } = await edgeScores(model, scoring, options)
  return new Set(order.subarray(0, circuit.top))
}

/** What every circuit's run starts from: both prompts' activations. */
async function circuitRun(
  model: AttributionModel,
  graph: EdgeGraph,
  pair: Pair,
  options: RunOptions,
): Promise<CircuitRun> {
  const insides = insidesOf(model, 'a circuit of edges')
  const { blocks } = insides.spec
  const inputs = blocks.flatMap(({ topology }, layer) => [
    `blocks.${layer}.hook_resid_pre`,
    ...(topology === 'parallel' ? [] : [`blocks.${layer}.hook_resid_mid`]),
  ])
  const final = `blocks.${blocks.length - 1}.hook_resid_post`
  const hooks = [...new Set([...sourceHooks(insides.spec), ...inputs, final])]
  const corrupt = await model.run(captureInput(model, pair.corrupt.tokens, hooks), options)
  const clean = await model.run(captureInput(model, pair.clean.tokens, sourceHooks(insides.spec)), options)
  const embedded = clean.captures['blocks.0.hook_resid_pre']
  if (embedded.data.length !== corrupt.captures[final].data.length)
    throw new PatchbayError('internal', 'Clean and corrupt have residual streams of different size.')
  const writings = await headWritings(insides)
  return new CircuitRun(model, insides.spec, graph, writings, pair.clean, embedded.data, corrupt.captures)
}
