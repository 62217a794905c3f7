/** Tensors that a person opens: `.npy` and `.safetensors`, read with every size checked, given as float32. */
import { z } from 'zod'
import { PatchbayError } from '../../preload/errors'
import { npyMagic } from '../../preload/npy'
import { sizeOf, type Tensor } from '../../preload/tensor'

/** Values in a file at most: they travel with the request. */
export const mostValues = 4_000_000
const bytesPerValue = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const
type Kind = keyof typeof bytesPerValue

const refuse = (file: string, problem: string, next = 'Save it again as float32.'): PatchbayError =>
  new PatchbayError('file.malformed', `${file} ${problem}.`, { file, next })

/** IEEE half precision. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

function fromBrain(bits: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, bits << 16)
  return view.getFloat32(0)
}

/** Little-endian values. */
function valuesOf(view: DataView, kind: Kind, start: number, count: number): Float32Array {
  const width = bytesPerValue[kind]
  const at = {
    F64: (i: number) => view.getFloat64(i, true),
    F32: (i: number) => view.getFloat32(i, true),
    F16: (i: number) => fromHalf(view.getUint16(i, true)),
    BF16: (i: number) => fromBrain(view.getUint16(i, true)),
  }[kind]
  return Float32Array.from({ length: count }, (_, i) => at(start + i * width))
}

function checkedShape(file: string, name: string, shape: readonly unknown[]): number[] {
  const dims = shape.map(Number)
  if (dims.length > 8 || dims.some((n) => !Number.isInteger(n) || n < 1))
    throw refuse(file, `has a tensor ${JSON.stringify(name)} of an impossible shape`)
  if (sizeOf(dims) > mostValues)
    throw refuse(
      file,
      `has a tensor ${JSON.stringify(name)} of ${sizeOf(dims)} values; at most ${mostValues} travel with a question`,
      'Save only what is needed: one activation, not a data set.',
    )
  return dims
}

function finite(file: string, name: string, tensor: Tensor): Tensor {
  if (tensor.data.every(Number.isFinite)) return tensor
  throw refuse(file, `has a tensor ${JSON.stringify(name)} that holds NaN or infinity`, 'Save it without.')
}

const isNpy = (bytes: Uint8Array): boolean => npyMagic.every((byte, i) => bytes[i] === byte)

/** @throws PatchbayError `file.malformed` */
function readNpy(file: string, bytes: Uint8Array): Record<string, Tensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12 || !isNpy(bytes)) throw refuse(file, 'is no .npy file')
  const wide = bytes[6] > 1
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true)
  const start = (wide ? 12 : 10) + length
  if (start > bytes.length) throw refuse(file, 'ends within its header')
  const header = new TextDecoder('latin1').decode(bytes.subarray(wide ? 12 : 10, start))
  const type = /'descr':\s*'([^']+)'/.exec(header)?.[1]
  const kind = ({ '<f8': 'F64', '<f4': 'F32', '<f2': 'F16' } as Record<string, Kind>)[type ?? '']
  const dims = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1]
  if (kind === undefined || dims === undefined)
    throw refuse(file, `holds ${JSON.stringify(type ?? 'something else')}, not floating-point numbers`)
  if (/'fortran_order':\s*True/.test(header))
    throw refuse(file, 'is in column order', 'Save it with numpy.ascontiguousarray.')
  const shape = checkedShape(
    file,
    file,
    dims.split(',').filter((dim) => dim.trim() !== ''),
  )
  const count = sizeOf(shape)
  if (bytes.length - start !== count * bytesPerValue[kind])
    throw refuse(
      file,
      `has ${bytes.length - start} bytes of values where its shape wants ${count * bytesPerValue[kind]}`,
    )
  return { [file]: finite(file, file, { shape, data: valuesOf(view, kind, start, count) }) }
}

const entry = z.object({
  dtype: z.string(),
  shape: z.array(z.number()).max(8),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
})

/** Tensors of floating-point numbers; others are passed over. */
function readSafetensors(file: string, bytes: Uint8Array): Record<string, Tensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 8) throw refuse(file, 'is no .safetensors file')
  const length = Number(view.getBigUint64(0, true))
  if (length > bytes.length - 8) throw refuse(file, 'is no .safetensors file, or ends within its header')
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)))
  } catch {
    throw refuse(file, 'has a header that is no JSON')
  }
  if (typeof header !== 'object' || header === null)
    throw refuse(file, 'has a header that is no list of tensors')
  const tensors = new Map<string, Tensor>()
  let total = 0
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const parsed = entry.safeParse(value)
    if (!parsed.success) throw refuse(file, `describes ${JSON.stringify(name)} wrongly`)
    const { dtype, data_offsets } = parsed.data
    const kind = (Object.keys(bytesPerValue) as Kind[]).find((one) => one === dtype)
    if (kind === undefined) continue
    const shape = checkedShape(file, name, parsed.data.shape)
    const [from, to] = data_offsets
    const count = sizeOf(shape)
    if (to - from !== count * bytesPerValue[kind] || 8 + length + to > bytes.length)
      throw refuse(file, `has the values of ${JSON.stringify(name)} outside of the file`)
    if ((total += count) > mostValues)
      throw refuse(file, `holds more than ${mostValues} values`, 'Save only what is needed.')
    tensors.set(name, finite(file, name, { shape, data: valuesOf(view, kind, 8 + length + from, count) }))
  }
  if (tensors.size === 0) throw refuse(file, 'holds no floating-point tensor')
  return Object.fromEntries(tensors)
}

/**
 * The floating-point tensors of a file by name; a `.npy` file's one has the file's name.
 * @throws PatchbayError `file.malformed`
 */
export const tensorsOfFile = (name: string, bytes: Uint8Array): Record<string, Tensor> =>
  /\.npy$/i.test(name) || isNpy(bytes) ? readNpy(name, bytes) : readSafetensors(name, bytes)
