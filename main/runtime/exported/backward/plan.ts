/**
 * What a backward pass through an exported graph computes: which of its parts are gone through, with which values'
 * gradients going in and coming out of each.
 */
import { PatchbayError } from '../../../../preload/errors'
import { metricsOf, type Backward } from '../../../../preload/metric'
import type { Tensor } from '../../../../preload/tensor'
import type { Part } from '../../../onnx/exported/cut'
import type { Site } from '../../../onnx/exported/surgery'
import { asItIs } from '../../../onnx/exported/view'
import { isFloat } from '../../../onnx/element-types'
import { reachedFrom } from '../../../onnx/gradient/exported'
import { invalid } from '../../backward/faults'
import { planMetric, type MetricPlan } from '../../backward/metric'
import type { ForwardRequest } from '../../forward'
import type { ExportedPlan, PlacedHook } from '../plan'

export interface ExportedBackwardPlan {
  readonly metric: MetricPlan
  /** The hook point that the metric reads; null where it reads logits. */
  readonly read: PlacedHook | null
  /** Hook points whose gradients are wanted, by canonical name. */
  readonly hooks: ReadonlyMap<string, PlacedHook>
  /** Parameters whose gradients are wanted, with their shapes. */
  readonly weights: ReadonlyMap<string, readonly number[]>
  /** From the last part that is gone through to the first. */
  readonly passes: readonly PartPass[]
}

/** The way back through one part. */
export interface PartPass {
  readonly part: number
  /** Values whose gradients come from outside; hook points that the metric reads by `read`. */
  readonly given: readonly Site[]
  readonly read: PlacedHook | null
  /** Values of earlier parts whose gradients it gives out: the cut that it begins with, and what is carried past cuts. */
  readonly earlier: readonly Site[]
  readonly hooks: readonly PlacedHook[]
  readonly weights: readonly string[]
}

export interface ExportedPlanInput {
  readonly backward: Backward
  /** Token ids, one list a row. */
  readonly rows: readonly (readonly number[])[]
  readonly tensors: Readonly<Record<string, Tensor>>
  readonly forward: Pick<ForwardRequest, 'start' | 'stopLayer'>
}

/**
 * @throws PatchbayError `input.invalid` naming the field, `hook.unknown`, `hook.unavailable` for what the metric does not
 *   depend on, `model.unsupported` for parameters that are no floating-point numbers
 */
export function planExportedBackward(plan: ExportedPlan, input: ExportedPlanInput): ExportedBackwardPlan {
  const { backward, rows, tensors, forward } = input
  const { recognition, parts } = plan
  const metric = planMetric(
    { vocab: recognition.vocab, hook: (name) => plan.hook(name) },
    metricsOf(backward, rows.length),
    rows,
    tensors,
  )
  const hooks = new Map(backward.hooks.map((name) => [plan.hook(name).name, plan.hook(name)]))
  const read = metric.kind === 'projection' ? plan.hook(metric.hook.name) : null
  if (read === null && forward.stopLayer !== undefined)
    throw invalid('The metric reads logits, but the run stops before them', 'Leave stopLayer out.')
  if (read !== null) requireBefore(plan, read, hooks.values())
  const weights = weightsOf(plan, backward.weights)
  const first = forward.start.kind === 'tokens' ? 0 : forward.start.layer + 1
  const top = read === null ? parts.length - 1 : partOf(read)
  return { metric, read, hooks, weights, passes: passesOf(plan, { hooks, weights, read, first, top }) }
}

/** The part whose way back begins at a hook point; of one between parts the part that ends with it. */
const partOf = ({ place }: PlacedHook): number => (place.kind === 'inside' ? place.part : place.cut)

interface Wanted {
  readonly hooks: ReadonlyMap<string, PlacedHook>
  readonly weights: ReadonlyMap<string, unknown>
  readonly read: PlacedHook | null
  /** The first part that can be gone through, and the last. */
  readonly first: number
  readonly top: number
}

function passesOf(plan: ExportedPlan, { hooks, weights, read, first, top }: Wanted): PartPass[] {
  const { parts, recognition } = plan
  const { view } = recognition
  const plain = (value: string): Site => siteOf(plan, value)
  const all = [...hooks.values()]
  const inside = (part: number): PlacedHook[] =>
    all.filter(({ place }) => place.kind === 'inside' && place.part === part)
  /** Values of earlier parts that change with what is wanted. */
  const moving = new Set<string>()
  const found: Omit<PartPass, 'given' | 'read'>[] = []
  for (let part = first; part <= top; part++) {
    const { graph, from, carried } = parts[part]
    const at = all.some(({ place }) => place.kind === 'between' && place.cut === part - 1)
    if (from !== null && at) moving.add(from)
    const earlier = [...(from === null ? [] : [from]), ...carried.keys()].filter((value) => moving.has(value))
    const own = { hooks: inside(part), weights: weightsIn(parts[part], weights.keys()) }
    const seeds = [...earlier, ...own.weights, ...own.hooks.flatMap(valueOf)]
    const reached = reachedFrom(graph.nodes, view.values, seeds)
    for (const { name } of graph.outputs) if (reached.has(name)) moving.add(name)
    found.push({ part, earlier: earlier.map(plain), ...own })
  }
  /** Values whose gradients later parts give. */
  const reached = new Set<string>(read === null ? [recognition.logits] : [])
  const passes: PartPass[] = []
  for (const pass of found.reverse()) {
    const { graph, to } = parts[pass.part]
    if (to !== null && read?.place.kind === 'between' && read.place.cut === pass.part) reached.add(to)
    const given = graph.outputs
      .filter(({ name }) => reached.has(name) && makes(graph, name))
      .map(({ name }) => plain(name))
    const own = read?.place.kind === 'inside' && read.place.part === pass.part ? read : null
    const wanted = pass.earlier.length + pass.hooks.length + pass.weights.length
    if (wanted === 0 || (given.length === 0 && own === null)) continue
    for (const { value } of pass.earlier) reached.add(value)
    passes.push({ ...pass, given, read: own })
  }
  return passes
}

const makes = ({ nodes }: Part['graph'], value: string): boolean =>
  nodes.some(({ outputs }) => outputs.includes(value))

const valueOf = ({ place }: PlacedHook): string[] => (place.kind === 'inside' ? [place.captured.value] : [])

/** A value as it is. @throws PatchbayError `model.unsupported` where its type or number of axes is not known */
function siteOf({ recognition: { view } }: ExportedPlan, value: string): Site {
  const [type, shape] = [view.type(value), view.shape(value)]
  if (type !== null && shape !== null) return { value, type, view: asItIs, rank: shape.length }
  throw new PatchbayError(
    'model.unsupported',
    `The shape of the value ${JSON.stringify(value.slice(0, 200))}, which parts of the graph share, is not known, so no gradient goes through it.`,
    { next: 'Ask for gradients behind it.', field: 'backward' },
  )
}

/** The parameters among `names` that a part reads, in whatever way. */
function weightsIn({ graph }: Part, names: Iterable<string>): string[] {
  return [...names].filter((name) => graph.initialisers.has(name))
}

/** Only what is computed before the hook point that the metric reads can have changed it. */
function requireBefore(
  { recognition: { view }, parts }: ExportedPlan,
  read: PlacedHook,
  hooks: Iterable<PlacedHook>,
): void {
  /** At a cut, the output of the block before comes before the input of the next. */
  const order = ({ name, place }: PlacedHook): number =>
    place.kind === 'inside'
      ? 3 * view.place(place.captured.value)
      : 3 * view.place(parts[place.cut].to ?? '') + (name.endsWith('hook_resid_post') ? 1 : 2)
  for (const hook of hooks)
    if (order(hook) > order(read))
      throw new PatchbayError(
        'hook.unavailable',
        `The metric reads ${read.name}, which does not depend on ${hook.name}.`,
        {
          next: 'Ask for gradients at hook points before the metric’s, or leave this one out.',
          field: hook.name,
        },
      )
}

/** Parameters by name: the graph's initialisers, where they are floating-point numbers. */
function weightsOf({ recognition }: ExportedPlan, names: readonly string[]): Map<string, readonly number[]> {
  const { graph } = recognition.view.model
  const field = 'backward.weights'
  return new Map(
    names.map((name) => {
      const stored = graph.initialisers.get(name)
      if (stored === undefined)
        throw invalid(
          `The graph has no parameter ${JSON.stringify(name.slice(0, 200))}`,
          'Choose one that the Layers view lists.',
          field,
        )
      if (!isFloat(stored.type))
        throw new PatchbayError(
          'model.unsupported',
          `The parameter ${JSON.stringify(name.slice(0, 200))} is stored as ${stored.type}, by which there are no gradients.`,
          { next: 'Leave it out, or use a graph that was exported in float32.', field },
        )
      return [name, stored.shape]
    }),
  )
}
