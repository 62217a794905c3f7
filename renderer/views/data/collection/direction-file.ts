/**
 * A direction from a file: the first one-dimensional float32 tensor of a safetensors file, or an array of NumPy's. Read here
 * because it is small and travels with the question.
 */
import { z } from 'zod'
import { PatchbayError } from '../../../../preload/errors'
import { npyMagic } from '../../../../preload/npy'
import type { Tensor } from '../../../../preload/tensor'

const refuse = (file: string, problem: string): PatchbayError =>
  new PatchbayError('file.malformed', `${file} ${problem}.`, {
    file,
    next: 'Choose a .safetensors or .npy file with one vector in float32.',
  })

/** More numbers than any layer is wide. */
const mostNumbers = 2 ** 20

const entry = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()).max(8),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
})

function floats(file: string, bytes: Uint8Array, from: number, count: number): Tensor {
  if (count === 0 || count > mostNumbers || from + 4 * count > bytes.length)
    throw refuse(file, `has no vector of 1 to ${mostNumbers} numbers where it says so`)
  const data = new Float32Array(bytes.slice(from, from + 4 * count).buffer)
  if (data.some((value) => !Number.isFinite(value))) throw refuse(file, 'has numbers that are not finite')
  return { shape: [count], data }
}

function fromSafetensors(file: string, bytes: Uint8Array): Tensor {
  const length =
    bytes.length < 8 ? Infinity : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  if (length > bytes.length - 8) throw refuse(file, 'is no safetensors file')
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)))
  } catch {
    throw refuse(file, 'has a header that is not JSON')
  }
  const entries = typeof header === 'object' && header !== null ? Object.values(header) : []
  for (const value of entries) {
    const parsed = entry.safeParse(value)
    if (!parsed.success || parsed.data.dtype !== 'F32') continue
    const { shape, data_offsets } = parsed.data
    const count = shape.reduce((product, size) => product * size, 1)
    // [d], or [1, d].
    if (shape.length === 1 || (shape.length === 2 && shape[0] === 1))
      return floats(file, bytes, 8 + length + data_offsets[0], count)
  }
  throw refuse(file, 'has no float32 tensor that is one vector')
}

function fromNpy(file: string, bytes: Uint8Array): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const wide = bytes[6] > 1
  if (bytes.length < 12) throw refuse(file, 'ends within its header')
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true)
  const start = (wide ? 12 : 10) + length
  const header = new TextDecoder('latin1').decode(bytes.subarray(wide ? 12 : 10, start))
  const shape = /'shape': \((?:1, )?(\d{1,9}),?\)/.exec(header)
  if (!header.includes("'<f4'") || shape === null) throw refuse(file, 'is not one vector in float32')
  return floats(file, bytes, start, Number(shape[1]))
}

/** @throws PatchbayError `file.malformed` */
export const directionOf = (file: string, bytes: Uint8Array): Tensor =>
  npyMagic.every((byte, i) => bytes[i] === byte) ? fromNpy(file, bytes) : fromSafetensors(file, bytes)
