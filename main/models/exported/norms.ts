/**
 * Finds the norms of a graph: the operators that are one, and those that exporters write out as a mean of squares, a
 * root, a quotient and a weight.
 */
import type { OnnxNode } from '../../onnx/exported/model'
import type { GraphView } from './graph-view'

export interface Norm {
  readonly kind: 'rms' | 'layer'
  /** What is normalised, under its first name. */
  readonly input: string
  /** What it divides by, [..., 1], where that is a value. */
  readonly scale: string | null
  /** The quotient before weight and bias, where that is a value. */
  readonly normalized: string | null
  /** After weight and bias. */
  readonly output: string
}

export interface Norms {
  /** By every value from the quotient on that is the norm's result under some name, weighted or not. */
  readonly byOutput: ReadonlyMap<string, Norm>
  readonly byInput: ReadonlyMap<string, readonly Norm[]>
}

const fused = new Map<string, Norm['kind']>([
  ['LayerNormalization', 'layer'],
  ['RMSNormalization', 'rms'],
  ['SimplifiedLayerNormalization', 'rms'],
])

export function findNorms(view: GraphView): Norms {
  const byOutput = new Map<string, Norm>()
  const byInput = new Map<string, Norm[]>()
  const note = (norm: Norm, results: readonly string[]): void => {
    for (const result of results) byOutput.set(result, norm)
    const same = byInput.get(norm.input)
    if (same === undefined) byInput.set(norm.input, [norm])
    else same.push(norm)
  }
  for (const node of view.model.graph.nodes) {
    const kind = fused.get(node.op)
    if (kind !== undefined) {
      const results = tail(view, node.outputs[0])
      const input = view.root(node.inputs[0])
      note({ kind, input, scale: null, normalized: null, output: results[results.length - 1] }, results)
      continue
    }
    const found = node.op === 'ReduceMean' ? writtenOut(view, node) : null
    if (found !== null) {
      const results = tail(view, found.normalized)
      note({ ...found, output: results[results.length - 1] }, results)
    }
  }
  return { byOutput, byInput }
}

/** A norm whose mean of squares is `mean`. */
function writtenOut(
  view: GraphView,
  mean: OnnxNode,
): (Omit<Norm, 'output' | 'normalized'> & { normalized: string }) | null {
  const squared = squareOf(view, mean.inputs[0])
  if (squared === null) return null
  const scale = rootOfShifted(view, mean.outputs[0])
  if (scale === null) return null
  const normalized = quotient(view, squared, scale)
  if (normalized === null) return null
  const centred = view.maker(squared)
  const subtracts = centred?.op === 'Sub' && isMeanOf(view, centred.inputs[1], centred.inputs[0])
  return {
    kind: subtracts ? 'layer' : 'rms',
    input: view.root(subtracts ? centred.inputs[0] : squared),
    scale,
    normalized,
  }
}

/** x, where `value` is x². */
function squareOf(view: GraphView, value: string): string | null {
  const node = view.maker(view.root(value))
  if (node?.op === 'Pow' && view.numbers(node.inputs[1])?.[0] === 2) return view.root(node.inputs[0])
  if (node?.op !== 'Mul') return null
  const [a, b] = node.inputs.map((name) => view.root(name))
  return a === b ? a : null
}

const isMeanOf = (view: GraphView, value: string, of: string): boolean => {
  const node = view.maker(view.root(value))
  return node?.op === 'ReduceMean' && view.root(node.inputs[0]) === view.root(of)
}

/** √(mean + eps), the value that a norm divides by. */
function rootOfShifted(view: GraphView, mean: string): string | null {
  for (const add of readersThrough(view, mean)) {
    if (add.op !== 'Add' || !add.inputs.some((name) => view.isConstant(name))) continue
    for (const root of readersThrough(view, add.outputs[0])) {
      const isRoot = root.op === 'Sqrt' || (root.op === 'Pow' && view.numbers(root.inputs[1])?.[0] === 0.5)
      if (isRoot) return root.outputs[0]
    }
  }
  return null
}

/** x / scale, as a division or as a product with the reciprocal. */
function quotient(view: GraphView, x: string, scale: string): string | null {
  for (const node of readersThrough(view, scale)) {
    const [first] = node.inputs
    if (node.op === 'Div' && view.root(first) === x) return node.outputs[0]
    const isReciprocal = node.op === 'Reciprocal' || (node.op === 'Div' && view.numbers(first)?.[0] === 1)
    if (!isReciprocal) continue
    for (const product of readersThrough(view, node.outputs[0]))
      if (product.op === 'Mul' && product.inputs.some((name) => view.root(name) === x))
        return product.outputs[0]
  }
  return null
}

/** Readers of a value under all of its names. */
function readersThrough(view: GraphView, value: string): OnnxNode[] {
  return view
    .readers(value)
    .flatMap((node) => (view.passesOn(node) ? readersThrough(view, node.outputs[0]) : [node]))
}

/** A norm's result and what becomes of it by weight and bias alone, in order. */
function tail(view: GraphView, result: string): string[] {
  const values = [result]
  for (;;) {
    const at = values[values.length - 1]
    const readers = view.readers(at)
    if (readers.length !== 1) return values
    const [node] = readers
    const weighs =
      (node.op === 'Mul' || node.op === 'Add') && node.inputs.some((name) => view.isConstant(name))
    if (!weighs && !view.passesOn(node) && node.op !== 'Cast') return values
    values.push(node.outputs[0])
  }
}
