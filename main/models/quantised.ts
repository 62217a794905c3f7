/**
 * Weights that stay quantised: matrices in block types that can be taken apart (formats/quants/codes.ts), laid out as
 * ONNX Runtime's MatMulNBits reads them.
 */
import { PatchbayError } from '../../preload/errors'
import { sizeOf } from '../../preload/tensor'
import type { Checkpoint, TensorEntry } from './formats/checkpoint'
import { codeFormats, type CodeFormat } from './formats/quants/codes'
import { isBlockType, unitOf } from './formats/storage'
import { applySteps, leadingPart, type Weight } from './weights'

/** Bytes from the start of a packed matrix. */
export interface PackedRange {
  readonly offset: number
  readonly length: number
}

/**
 * A matrix [rows, columns] as packed: its planes of nibbles [rows, columns/group, group/2] (low digit first; in each byte
 * the earlier element low), then float32 scales [rows, columns/group], then shifts likewise.
 */
export interface PackedLayout {
  readonly rows: number
  readonly columns: number
  readonly group: number
  readonly zero: number | null
  readonly planes: readonly PackedRange[]
  readonly scales: PackedRange
  readonly shifts: PackedRange | null
  readonly byteLength: number
}

/** How a weight is packed, or null where it can not stay quantised: another type, or steps that cut through its rows. */
export function packedLayout({ storage }: TensorEntry, weight: Weight): PackedLayout | null {
  const format = formatOf(storage)
  if (format === null || weight.shape.length !== 2 || rowOrder(weight) === null) return null
  const [rows, columns] = weight.shape
  const groups = (rows * columns) / format.group
  let end = 0
  const range = (length: number): PackedRange => {
    end += length
    return { offset: end - length, length }
  }
  const planes = Array.from({ length: format.bits / 4 }, () => range((rows * columns) / 2))
  const scales = range(4 * groups)
  const shifts = format.zero === null ? range(4 * groups) : null
  return { rows, columns, group: format.group, zero: format.zero, planes, scales, shifts, byteLength: end }
}

/**
 * Reads a weight and packs it.
 * @param layout as `packedLayout` has it
 * @throws PatchbayError `file.*` where the file can't be read
 */
export async function readPacked(
  checkpoint: Checkpoint,
  weight: Weight,
  layout: PackedLayout,
): Promise<Uint8Array> {
  const entry = checkpoint.tensors.get(weight.tensor)
  const format = entry === undefined ? null : formatOf(entry.storage)
  const order = rowOrder(weight)
  if (entry === undefined || format === null || order === null)
    throw new PatchbayError('internal', `The weight ${weight.name} can not stay quantised.`)
  const { offset, length } = leadingPart(weight)
  const unit = unitOf(entry.storage)
  const byte = (element: number): number => (element / unit.elements) * unit.bytes
  const bytes = await checkpoint.readRaw(weight.tensor, byte(offset), byte(offset + length))

  const { columns, group } = layout
  const packed = new Uint8Array(layout.byteLength)
  const floatsAt = (range: PackedRange): Float32Array =>
    new Float32Array(packed.buffer, range.offset, range.length / 4)
  const scales = floatsAt(layout.scales)
  const shifts = layout.shifts === null ? null : floatsAt(layout.shifts)
  const planes = layout.planes.map((range) => packed.subarray(range.offset, range.offset + range.length))
  const row = {
    codes: new Uint8Array(columns),
    scales: new Float32Array(columns / group),
    shifts: new Float32Array(columns / group),
  }
  const rowBytes = byte(columns)
  order.forEach((source, target) => {
    const from = bytes.subarray(source * rowBytes, (source + 1) * rowBytes)
    format.read(from, columns / unit.elements, row)
    scales.set(row.scales, target * row.scales.length)
    shifts?.set(row.shifts, target * row.shifts.length)
    planes.forEach((plane, digit) => packNibbles(row.codes, 4 * digit, plane, (target * columns) / 2))
  })
  return packed
}

/** Four bits of each code, from bit `shift` on: two in a byte, the earlier one low. */
function packNibbles(codes: Uint8Array, shift: number, into: Uint8Array, at: number): void {
  for (let i = 0; i < codes.length; i += 2)
    into[at + (i >>> 1)] = ((codes[i] >>> shift) & 15) | (((codes[i + 1] >>> shift) & 15) << 4)
}

const formatOf = (storage: TensorEntry['storage']): CodeFormat | null =>
  isBlockType(storage) ? (codeFormats[storage] ?? null) : null

/**
 * Which row of the weight's leading part each of its rows is; null where its steps do more than choose and order whole
 * rows. GGUF's order of query and key rows, for one, is undone so.
 */
function rowOrder(weight: Weight): number[] | null {
  const { offset, rest } = leadingPart(weight)
  const columns = weight.shape[weight.shape.length - 1]
  if (rest.stored.at(-1) !== columns || weight.stored.at(-1) !== columns || offset % columns !== 0)
    return null
  const steps: Weight['steps'][number][] = []
  let rank = rest.stored.length
  for (const step of rest.steps) {
    if (step.kind === 'shift') return null
    if (step.kind === 'slice' && step.axis === rank - 1) return null
    if (step.kind === 'permute' && step.axes.at(-1) !== rank - 1) return null
    if (step.kind === 'reshape') {
      if (step.shape.at(-1) !== columns) return null
      rank = step.shape.length
      steps.push({ ...step, shape: [...step.shape.slice(0, -1), 1] })
    } else steps.push(step)
  }
  const stored = [...rest.stored.slice(0, -1), 1]
  const rows = Float32Array.from({ length: sizeOf(stored) }, (_, i) => i)
  return Array.from(applySteps({ ...rest, stored, steps }, rows))
}
