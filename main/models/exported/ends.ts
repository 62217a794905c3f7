/** Finds where a graph begins and ends as a language model: the token embedding, the unembedding, and what is fed. */
import type { OnnxNode } from '../../onnx/exported/model'
import { isInteger } from '../../onnx/element-types'
import type { Axes } from './sites'
import type { GraphView } from './graph-view'
import { isLayout, isLinear } from './linear'
import type { Norm, Norms } from './norms'

export interface Unembedding {
  /** Graph output [batch, pos, d_vocab]. */
  readonly logits: string
  readonly vocab: number
  /** What the final norm, or where there is none the projection, reads: the end of the residual stream. */
  readonly end: string
  readonly norm: Norm | null
}

/** The output that comes out of a projection: of several the widest. */
export function findUnembedding(view: GraphView, norms: Norms): Unembedding | null {
  const found = view.model.graph.outputs.flatMap(({ name }): Unembedding[] => {
    const vocab = view.shape(name)?.at(-1)
    const head = headBehind(view, name)
    if (typeof vocab !== 'number' || head === null) return []
    const read = throughLayout(view, head.inputs[0], (value) => norms.byOutput.has(value))
    const norm = norms.byOutput.get(read) ?? null
    return [{ logits: name, vocab, end: norm?.input ?? view.root(read), norm }]
  })
  return found.sort((a, b) => b.vocab - a.vocab).at(0) ?? null
}

/** The projection whose result, but for bias, scale, cap and layout, is the output. */
function headBehind(view: GraphView, output: string): OnnxNode | null {
  for (let at = output; ;) {
    const node = view.maker(at)
    if (node === null) return null
    if (isLinear(view, node)) return node
    const inner = node.inputs.filter((name) => !view.isConstant(name) && !view.isScalar(name))
    const simple = ['Add', 'Mul', 'Div', 'Tanh', 'Clip', 'Slice', 'Gather'].includes(node.op)
    if (!isLayout(node) && !(simple && inner.length >= 1)) return null
    at = inner[0] ?? node.inputs[0]
  }
}

/** Back through nodes that only move elements (or pick positions), up to a value that `stops`. */
function throughLayout(view: GraphView, value: string, stops: (value: string) => boolean): string {
  let at = value
  for (;;) {
    const node = view.maker(at)
    if (stops(at) || node === null || !(isLayout(node) || node.op === 'Slice' || node.op === 'Gather'))
      return at
    at = node.inputs[0]
  }
}

export interface LookUp {
  readonly node: OnnxNode
  /** Rows of the table. */
  readonly rows: number
  /** Graph input with the indices, where they are one. */
  readonly input: string | null
}

/** Look-ups in tables of weights [rows, width]. */
export function lookUps(view: GraphView): LookUp[] {
  const inputs = new Set(view.model.graph.inputs.map(({ name }) => name))
  return view.model.graph.nodes.flatMap((node): LookUp[] => {
    if (node.op !== 'Gather' || !view.isConstant(node.inputs[0])) return []
    const [rows, width] = view.shape(node.inputs[0]) ?? []
    if (typeof rows !== 'number' || typeof width !== 'number') return []
    const index = throughLayout(view, node.inputs[1], () => false)
    return [{ node, rows, input: inputs.has(index) ? index : null }]
  })
}

/** The look-up of the tokens: in a table with a row for each logit; of several the first. */
export function tokenLookUp(view: GraphView, vocab: number): (LookUp & { input: string }) | null {
  const fed = lookUps(view).flatMap((found) =>
    found.input === null ? [] : [{ ...found, input: found.input }],
  )
  const fitting = fed.filter(({ input }) => isInteger(view.type(input)) && view.shape(input)?.length === 2)
  // A table may be padded beyond the vocabulary, or the logits beyond the table.
  const nearest = fitting.toSorted((a, b) => Math.abs(a.rows - vocab) - Math.abs(b.rows - vocab))
  return nearest.at(0) ?? null
}

export interface InputRoles {
  readonly tokens: string
  readonly mask: string | null
  readonly positions: string | null
  /** Keys and values of earlier positions. */
  readonly past: readonly string[]
  /** What is fed besides and not understood. */
  readonly others: readonly string[]
}

/** What each input of the graph is, by where it goes; names are not looked at. */
export function inputRoles(view: GraphView, tokens: LookUp & { input: string }): InputRoles {
  const rest = view.model.graph.inputs.filter(({ name }) => name !== tokens.input)
  const isFloatOfFour = ({ type, shape }: (typeof rest)[number]): boolean =>
    shape?.length === 4 && !isInteger(type) && type !== 'bool'
  const past = rest.filter(isFloatOfFour)
  const others = rest.filter((input) => !past.includes(input))
  const positions = others.find(({ name, type }) => isInteger(type) && isPosition(view, name, tokens.node))
  const mask = others.find((input) => input !== positions && input.shape?.length === 2)
  return {
    tokens: tokens.input,
    mask: mask?.name ?? null,
    positions: positions?.name ?? null,
    past: past.map(({ name }) => name),
    others: others.filter((input) => input !== mask && input !== positions).map(({ name }) => name),
  }
}

const arithmetic: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'MatMul',
  'Expand',
  'Concat',
  'Clip',
  'Einsum',
])

/** Whether an input goes, by plain arithmetic, into angles or into a table of positions. */
function isPosition(view: GraphView, input: string, tokens: OnnxNode): boolean {
  const seen = new Set<string>()
  const open = [input]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue
    seen.add(at)
    for (const node of view.readers(at)) {
      if (node.op === 'Cos' || node.op === 'Sin') return true
      if (node.op === 'RotaryEmbedding' && node.inputs.indexOf(at) > 0) return true
      if (node.op === 'Gather' && node !== tokens && node.inputs[1] === at && view.isConstant(node.inputs[0]))
        return true
      const toBool = node.op === 'Cast' && view.type(node.outputs[0]) === 'bool'
      if ((isLayout(node) && !toBool) || arithmetic.has(node.op)) open.push(node.outputs[0])
    }
  }
  return false
}

/** Symbols of batch and positions: the two axes of the tokens. */
export function axesOf(view: GraphView, tokens: string): Axes | null {
  const [batch, pos] = view.shape(tokens) ?? []
  return batch === undefined || pos === undefined ? null : { batch, pos }
}

export interface Embedding {
  readonly tokens: string
  readonly positions: string | null
  /** Positions that the table of positions has rows for. */
  readonly contextLength: number | null
}

/** What the first value of the residual stream is made of. */
export function findEmbedding(view: GraphView, start: string, tokens: LookUp): Embedding {
  const value = tokens.node.outputs[0]
  const sum = view.maker(start)
  const isSum = sum?.op === 'Add' && sum.inputs.every((name) => !view.isConstant(name))
  const [own, others] = [true, false].map((wanted) =>
    isSum ? sum.inputs.filter((name) => view.dependsOn(name, value) === wanted) : [],
  )
  if (own.length !== 1 || others.length !== 1) return { tokens: start, positions: null, contextLength: null }
  const table = lookUps(view).find(({ node }) => view.root(others[0]) === node.outputs[0])
  return {
    tokens: own[0],
    positions: others[0],
    contextLength: table === undefined ? null : rowsFor(view, table),
  }
}

/** Rows of a table of positions, without those that are skipped (OPT's first two). */
function rowsFor(view: GraphView, { node, rows }: LookUp): number {
  const shift = view.maker(view.root(node.inputs[1]))
  const offset = shift?.op === 'Add' ? shift.inputs.map((name) => view.numbers(name)?.[0] ?? 0) : [0]
  return rows - Math.max(0, ...offset)
}
