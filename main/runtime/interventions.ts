/**
 * From the interventions of a request to what the ports are fed: checked once against the model, laid out for each batch
 * of columns, and composed, so that neighbours that are affine become one port.
 */
import { PatchbayError } from '../../preload/errors'
import type { Intervention } from '../../preload/run'
import { sizeOf, type Tensor } from '../../preload/tensor'
import type { AffinePort, DirectionPort, PortValue } from './ports'
import { rowOffsets } from './ports'
import type { Runnable } from './runnable'
import { spread, type Frame, type Selection } from './selection'

type Change =
  /** x ← keep · x + value */
  | { readonly kind: 'affine'; readonly keep: number; readonly value: Tensor | null; readonly scale: number }
  /** x ← x + strength (target − x·d̂) d̂, with d̂ of length 1 */
  | {
      readonly kind: 'direction'
      readonly direction: Tensor
      readonly target: number
      readonly amount: number
    }

export interface PreparedIntervention {
  /** Canonical hook name. */
  readonly hook: string
  readonly selection: Selection
  readonly change: Change
}

/** Ports of a batch of columns, by canonical hook name. */
export type PortsByHook = ReadonlyMap<string, readonly PortValue[]>

/**
 * Checks interventions against the model and the batch.
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`, `input.invalid` naming the field
 */
export function prepareInterventions(
  model: Model,
  interventions: readonly Intervention[],
  tensors: Readonly<Record<string, Tensor>>,
  batch: number,
): PreparedIntervention[] {
  return interventions.map((intervention, i) =>
    prepare(model, intervention, tensors, batch, `interventions.${i}`),
  )
}

/** What is to be known of a model that is changed. */
type Model = Pick<Runnable, 'hook' | 'dModel' | 'contextLength'>

function prepare(
  model: Model,
  intervention: Intervention,
  tensors: Readonly<Record<string, Tensor>>,
  batch: number,
  field: string,
): PreparedIntervention {
  const { name: hook, dims, sizes, residual, shared } = model.hook(intervention.hook)
  const { rows, positions, heads = null, units = null, operation } = intervention
  const headAxis = dims.findIndex((dim) => dim === 'head' || dim === 'kv_head')
  const hasPositions = dims.some((dim) => dim === 'pos' || dim === 'q_pos')
  if (rows !== 'all' && shared) throw invalid(`${hook} is the same for all rows`, `${field}.rows`)
  if (positions !== 'all' && !hasPositions)
    throw invalid(`${hook} has no positions to choose from`, `${field}.positions`)
  if (rows !== 'all') inRange(rows, batch, `${field}.rows`)
  if (heads !== null && headAxis === -1)
    throw invalid(`${hook} has no heads to choose from`, `${field}.heads`)
  if (heads !== null) inRange(heads, sizes[headAxis] ?? Infinity, `${field}.heads`)
  if (units !== null) inRange(units, sizes[sizes.length - 1] ?? Infinity, `${field}.units`)
  if (Array.isArray(positions)) inRange(positions, model.contextLength, `${field}.positions`)

  const tensor = (name: string): Tensor => {
    if (!Object.hasOwn(tensors, name))
      throw invalid(`The request names a tensor "${name}" that did not come with it`, field)
    return tensors[name]
  }
  const selection: Selection = { dims, sizes, rows, positions, heads, units }
  switch (operation.kind) {
    case 'add':
      return {
        hook,
        selection,
        change: { kind: 'affine', keep: 1, value: tensor(operation.value), scale: operation.scale },
      }
    case 'replace':
      return {
        hook,
        selection,
        change: { kind: 'affine', keep: 0, value: tensor(operation.value), scale: 1 },
      }
    case 'scale':
      return { hook, selection, change: { kind: 'affine', keep: operation.factor, value: null, scale: 1 } }
    case 'direction': {
      if (!residual)
        throw invalid(`Directions are removed on the residual stream only, not at ${hook}`, `${field}.hook`)
      if (units !== null)
        throw invalid('A direction is changed as a whole, not in chosen units', `${field}.units`)
      const direction = normalised(tensor(operation.direction), model.dModel, `${field}.operation.direction`)
      const { target, amount } = operation
      return { hook, selection, change: { kind: 'direction', direction, target, amount } }
    }
  }
}

/** Each vector [.., d_model] divided by its length. */
function normalised(vectors: Tensor, width: number, field: string): Tensor {
  if (vectors.shape[vectors.shape.length - 1] !== width)
    throw invalid(
      `A direction of shape [${vectors.shape.join(', ')}] does not end in d_model = ${width}`,
      field,
    )
  const data = vectors.data.slice()
  for (let start = 0; start < data.length; start += width) {
    const vector = data.subarray(start, start + width)
    const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0))
    if (!(length > 0 && Number.isFinite(length)))
      throw invalid('A direction has length zero or is not finite', field)
    vector.forEach((x, i) => (vector[i] = x / length))
  }
  return { shape: vectors.shape, data }
}

function inRange(indices: readonly number[], size: number, field: string): void {
  const bad = indices.find((index) => index >= size)
  if (bad !== undefined) throw invalid(`Index ${bad} is out of range: there are ${size}`, field)
  if (new Set(indices).size !== indices.length) throw invalid('An index is listed twice', field)
}

const invalid = (sentence: string, field: string): PatchbayError =>
  new PatchbayError('input.invalid', `${sentence}.`, {
    next: 'Correct the intervention and run again.',
    field,
  })

/** Ports of the prepared interventions for a batch of columns; hook points where nothing is selected have none. */
export function layOut(prepared: readonly PreparedIntervention[], frame: Frame): PortsByHook {
  const ports = new Map<string, PortValue[]>()
  for (const { hook, selection, change } of prepared) {
    const port =
      change.kind === 'affine'
        ? affinePort(selection, change, frame)
        : directionPort(selection, change, frame)
    if (port === null) continue
    const before = ports.get(hook) ?? []
    const last = before[before.length - 1]
    if (port.kind === 'affine' && before.length > 0 && last.kind === 'affine')
      before[before.length - 1] = composed(last, port)
    else before.push(port)
    ports.set(hook, before)
  }
  return ports
}

function affinePort(
  selection: Selection,
  change: Extract<Change, { kind: 'affine' }>,
  frame: Frame,
): AffinePort | null {
  const places = spread(selection, frame, change.value)
  if (places === null) return null
  const ones = places.mask.shape.map(() => 1)
  const keep: Tensor =
    change.keep === 1
      ? { shape: ones, data: Float32Array.of(1) }
      : { shape: places.mask.shape, data: places.mask.data.map((m) => (m === 0 ? 1 : change.keep)) }
  const value: Tensor =
    change.value === null
      ? { shape: ones, data: Float32Array.of(0) }
      : { shape: places.value.shape, data: places.value.data.map((v) => v * change.scale) }
  return { kind: 'affine', keep, value }
}

function directionPort(
  selection: Selection,
  change: Extract<Change, { kind: 'direction' }>,
  frame: Frame,
): DirectionPort | null {
  const places = spread(selection, frame, change.direction)
  if (places === null) return null
  const target: Tensor = { shape: places.mask.shape.map(() => 1), data: Float32Array.of(change.target) }
  const { shape, data } = places.mask
  const amount = change.amount === 1 ? places.mask : { shape, data: data.map((m) => m * change.amount) }
  return { kind: 'direction', direction: places.value, amount, target }
}

/** First a, then b: keep = k_b k_a, value = k_b v_a + v_b. */
function composed(a: AffinePort, b: AffinePort): AffinePort {
  const times = (k: number, x: number): number => (k === 0 ? 0 : k * x)
  return {
    kind: 'affine',
    keep: combine(b.keep, a.keep, times),
    value: combine(combine(b.keep, a.value, times), b.value, (x, y) => x + y),
  }
}

/** f element by element, with broadcasting. */
function combine(a: Tensor, b: Tensor, f: (x: number, y: number) => number): Tensor {
  const shape = a.shape.map((dim, axis) => Math.max(dim, b.shape[axis]))
  const data = new Float32Array(sizeOf(shape))
  const width = shape[shape.length - 1]
  const rowsOfA = rowOffsets(a.shape, shape)
  const rowsOfB = rowOffsets(b.shape, shape)
  const step = (t: Tensor): number => (t.shape[t.shape.length - 1] === 1 ? 0 : 1)
  const stepA = step(a)
  const stepB = step(b)
  for (let row = 0; row < rowsOfA.length; row++)
    for (let i = 0; i < width; i++)
      data[row * width + i] = f(a.data[rowsOfA[row] + i * stepA], b.data[rowsOfB[row] + i * stepB])
  return { shape, data }
}
