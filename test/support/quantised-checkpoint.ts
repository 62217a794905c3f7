/** A checkpoint as if its matrices had been stored in a GGUF block type: rows that are whole blocks are quantised on the fly. */
import { decodeFloat32 } from '../../main/models/formats/decode'
import { encodeFloat16, float16Values } from '../../main/models/formats/float16'
import type { Checkpoint, TensorEntry } from '../../main/models/formats/checkpoint'
import { unitOf } from '../../main/models/formats/storage'

type Encoding = 'Q4_0' | 'Q4_1' | 'Q8_0'

export async function quantisedCheckpoint(source: Checkpoint, storage: Encoding): Promise<Checkpoint> {
  const unit = unitOf(storage)
  const encoded = new Map<string, Uint8Array>()
  const tensors = new Map<string, TensorEntry>()
  for (const [name, entry] of source.tensors) {
    const fits = entry.shape.length >= 2 && (entry.shape.at(-1) ?? 0) % unit.elements === 0
    if (!fits) tensors.set(name, entry)
    else {
      const values = await source.readFloat32(name)
      const bytes = encode(storage, values)
      encoded.set(name, bytes)
      tensors.set(name, { ...entry, storage, byteLength: bytes.length })
    }
  }
  return {
    ...source,
    files: source.files,
    tensors,
    readFloat32: async (name) => {
      const bytes = encoded.get(name)
      if (bytes === undefined) return source.readFloat32(name)
      const out = new Float32Array((bytes.length / unit.bytes) * unit.elements)
      decodeFloat32(storage, bytes, out)
      return out
    },
    readRaw: async (name, start, end) =>
      encoded.get(name)?.slice(start, end) ?? source.readRaw(name, start, end),
    close: () => source.close(),
  }
}

function encode(storage: Encoding, values: Float32Array): Uint8Array {
  const { elements, bytes } = unitOf(storage)
  const out = new Uint8Array((values.length / elements) * bytes)
  for (let block = 0; block < values.length / elements; block++) {
    const x = values.subarray(block * elements, (block + 1) * elements)
    const to = out.subarray(block * bytes, (block + 1) * bytes)
    const largest = Math.max(...x.map(Math.abs))
    if (storage === 'Q8_0') {
      const d = writeHalf(to, 0, largest / 127)
      x.forEach((value, i) => (to[2 + i] = code(value / d, -127, 127)))
    } else if (storage === 'Q4_0') {
      const d = writeHalf(to, 0, largest / 7)
      nibbles(x, (value) => code(value / d, -8, 7) + 8, to.subarray(2))
    } else {
      const d = writeHalf(to, 0, (Math.max(...x) - Math.min(...x)) / 15)
      const m = writeHalf(to, 2, Math.min(...x))
      nibbles(x, (value) => code((value - m) / d, 0, 15), to.subarray(4))
    }
  }
  return out
}

const code = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, Math.round(value)))

/** The first half of a block in the low nibbles, the second in the high ones. */
function nibbles(x: Float32Array, codeOf: (value: number) => number, to: Uint8Array): void {
  for (let i = 0; i < 16; i++) to[i] = codeOf(x[i]) | (codeOf(x[16 + i]) << 4)
}

/** Writes the float16 nearest to a value; the number that was written. */
function writeHalf(to: Uint8Array, at: number, value: number): number {
  const [bits] = encodeFloat16(Float32Array.of(value))
  to[at] = bits & 255
  to[at + 1] = bits >> 8
  return float16Values[bits]
}
