/** What the window shows of an exported graph before anything runs. */
import { parseHook } from '../../../preload/hooks'
import type { GraphInput, GraphValue, OnnxReport, RecognisedHook } from '../../../preload/onnx-report'
import type { GraphView } from '../../models/exported/graph-view'
import type { Recognition } from '../../models/exported/recognise'
import { shapeText } from '../../onnx/graph'
import { contextOf } from './load'
import type { ExportedPlan } from './plan'

/** @param config the parsed `config.json` of the model's folder, or undefined */
export function reportOf(plan: ExportedPlan, config: unknown): OnnxReport {
  const { recognition, decoder, whole } = plan
  const { view, vocab, missing } = recognition
  const { model } = view
  const context = contextOf(plan, config)
  const hooks = hooksOf(recognition)
  return {
    producer: model.producer,
    operatorSets: [...model.opsets]
      .map(([domain, version]) => `${domain === '' ? 'ai.onnx' : domain} ${version}`)
      .join(', '),
    nodes: model.graph.nodes.length,
    weights: model.graph.initialisers.size,
    inputs: inputsOf(recognition),
    decoder:
      decoder === null
        ? null
        : {
            layers: decoder.layers,
            dModel: decoder.dModel,
            heads: decoder.heads,
            kvHeads: decoder.kvHeads,
            dHead: decoder.dHead,
            dMlp: decoder.dMlp,
          },
    vocab,
    contextLength: context.length,
    contextSource: context.source,
    hooks,
    missing: [...missing],
    whole,
    generation: (decoder?.past ?? null) === null ? 'recompute' : 'cache',
    values: valuesOf(view, hooks),
  }
}

function inputsOf({ roles, decoder, view }: Recognition): GraphInput[] {
  const values = new Set(decoder?.past?.map(({ value }) => value.input))
  const roleOf = (name: string): GraphInput['role'] => {
    if (name === roles.tokens) return 'tokens'
    if (name === roles.mask) return 'attention mask'
    if (name === roles.positions) return 'positions'
    return values.has(name) ? 'past values' : 'past keys'
  }
  return view.model.graph.inputs.map(({ name }) => ({ name, ...typeOf(view, name), role: roleOf(name) }))
}

function hooksOf({ decoder, view }: Recognition): RecognisedHook[] {
  const found = [...(decoder?.sites ?? [])].map(([hook, { value, view: seen }]): RecognisedHook => ({
    hook,
    layer: parseHook(hook)?.layer ?? null,
    value,
    shape: typeOf(view, value).shape,
    rearranged: seen.perm !== null || seen.shape !== null,
  }))
  return found.sort((a, b) => view.place(a.value) - view.place(b.value))
}

function valuesOf(view: GraphView, hooks: readonly RecognisedHook[]): GraphValue[] {
  const byValue = new Map<string, string[]>()
  for (const { value, hook } of hooks) byValue.set(value, [...(byValue.get(value) ?? []), hook])
  return view.model.graph.nodes.flatMap((node) =>
    node.outputs
      .filter((name) => name !== '' && !view.isConstant(name))
      .map((name) => ({
        name,
        operator: node.op,
        ...typeOf(view, name),
        hooks: byValue.get(name) ?? [],
      })),
  )
}

function typeOf(view: GraphView, value: string): { type: string | null; shape: string } {
  const shape = view.shape(value)
  return { type: view.type(value), shape: shape === null ? '?' : shapeText(shape) }
}
