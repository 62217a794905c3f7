/** Tensors that a request names, as a file for the command line. */
import type { Tensor } from '../../preload/tensor'

/** Where the values begin: a multiple of a cache line. */
const alignment = 64

/** A .safetensors file of float32 tensors, in the order of their names. */
export function safetensorsOf(tensors: Readonly<Record<string, Tensor>>): Uint8Array<ArrayBuffer> {
  const named = Object.entries(tensors)
  let end = 0
  const entries = named.map(([name, { shape, data }]) => {
    const start = end
    end += data.byteLength
    return [name, { dtype: 'F32', shape, data_offsets: [start, end] }] as const
  })
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const begin = Math.ceil((8 + header.length) / alignment) * alignment
  const file = new Uint8Array(begin + end).fill(0x20, 8, begin)
  new DataView(file.buffer).setBigUint64(0, BigInt(begin - 8), true)
  file.set(header, 8)
  named.forEach(([, { data }], i) =>
    file.set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      begin + entries[i][1].data_offsets[0],
    ),
  )
  return file
}
