/**
 * Weights that are no numbers: a model with NaN or infinity among them loads, but the person is told. A file is looked
 * through while its bytes pass by for another purpose, so that it is not read twice.
 */
import type { TensorEntry } from './checkpoint'
import { decodeFloat32 } from './decode'
import { unitOf, type StorageType } from './storage'

export interface NonFiniteTensor {
  name: string
  /** Elements that are NaN or infinite. */
  count: number
  /** Index of the first, row-major. */
  first: number
}

/**
 * Where a unit (an element, or a block) shows that it may hold such a number: at this byte, all bits of this mask are
 * set. These are the exponents of its float, or of its scales; what shows it is decoded to be sure.
 */
type Mark = readonly [at: number, mask: number]

/** float16 at these bytes. */
const halves = (...places: number[]): Mark[] => places.map((at) => [at + 1, 0x7c])

const marks: Readonly<Partial<Record<StorageType, readonly Mark[]>>> = {
  F64: [[7, 0x40]],
  F32: [[3, 0x7f]],
  F16: halves(0),
  BF16: [[1, 0x7f]],
  F8_E4M3: [[0, 0x7f]],
  F8_E5M2: [[0, 0x7c]],
  Q4_0: halves(0),
  Q4_1: halves(0, 2),
  Q5_0: halves(0),
  Q5_1: halves(0, 2),
  Q8_0: halves(0),
  Q2_K: halves(80, 82),
  Q3_K: halves(108),
  Q4_K: halves(0, 2),
  Q5_K: halves(0, 2),
  Q6_K: halves(208),
  IQ1_S: halves(0),
  // The scale's nibbles are the upper ones of four words; the last holds its sign and the exponent's upper bits.
  IQ1_M: [[55, 0x70]],
  IQ2_XXS: halves(0),
  IQ2_XS: halves(0),
  IQ2_S: halves(0),
  IQ3_XXS: halves(0),
  IQ3_S: halves(0),
  IQ4_NL: halves(0),
  IQ4_XS: halves(0),
  TQ1_0: halves(52),
  TQ2_0: halves(64),
  MXFP4: [[0, 0xf8]],
  NVFP4: [0, 1, 2, 3].map((at): Mark => [at, 0x7f]),
}

/** Looks through the tensors of one file. */
export class FiniteScan {
  readonly found: NonFiniteTensor[] = []
  readonly #tensors: TensorEntry[]
  /** Bytes that passed by. */
  #at = 0
  /** Of the tensor under way: its number, the units looked at, and the beginning of a unit that goes on. */
  #tensor = 0
  #units = 0
  #rest = new Uint8Array(0)

  /** @param tensors of that file; one that overlaps another is left out */
  constructor(tensors: Iterable<TensorEntry>) {
    const sorted = [...tensors].sort((a, b) => a.offset - b.offset)
    let end = 0
    this.#tensors = sorted.filter(({ storage, offset, byteLength }) => {
      if (marks[storage] === undefined || offset < end) return false
      end = offset + byteLength
      return true
    })
  }

  /** The next bytes of the file, from its first on. */
  feed(bytes: Uint8Array): void {
    const start = this.#at
    const end = (this.#at += bytes.length)
    for (; this.#tensor < this.#tensors.length; this.#tensor++) {
      const tensor = this.#tensors[this.#tensor]
      const last = tensor.offset + tensor.byteLength
      if (tensor.offset >= end) return
      this.#look(tensor, bytes.subarray(Math.max(tensor.offset - start, 0), Math.min(last, end) - start))
      if (last > end) return
      this.#units = 0
      this.#rest = new Uint8Array(0)
    }
  }

  #look(tensor: TensorEntry, bytes: Uint8Array): void {
    const size = unitOf(tensor.storage).bytes
    let at = 0
    if (this.#rest.length > 0) {
      at = Math.min(size - this.#rest.length, bytes.length)
      this.#rest = Uint8Array.from([...this.#rest, ...bytes.subarray(0, at)])
      if (this.#rest.length < size) return
      this.#check(tensor, this.#rest)
    }
    const whole = at + Math.floor((bytes.length - at) / size) * size
    this.#check(tensor, bytes.subarray(at, whole))
    // A copy: of a Buffer, `slice` would be a view of what the reader overwrites.
    this.#rest = new Uint8Array(bytes.subarray(whole))
  }

  /** Whole units. */
  #check(tensor: TensorEntry, bytes: Uint8Array): void {
    const size = unitOf(tensor.storage).bytes
    for (const [place, mask] of marks[tensor.storage] ?? [])
      for (let at = marked(bytes, place, size, mask); at >= 0; at = marked(bytes, at + size, size, mask)) {
        const start = at - place
        if (isFirstMark(tensor.storage, bytes, start, place))
          this.#decode(tensor, bytes.subarray(start, start + size), start / size)
      }
    this.#units += bytes.length / size
  }

  #decode({ name, storage }: TensorEntry, unit: Uint8Array, index: number): void {
    const { elements } = unitOf(storage)
    const values = new Float32Array(elements)
    decodeFloat32(storage, unit, values)
    values.forEach((value, i) => {
      if (!Number.isFinite(value)) this.#count(name, (this.#units + index) * elements + i)
    })
  }

  #count(name: string, index: number): void {
    const known = this.found.at(-1)
    if (known?.name !== name) this.found.push({ name, count: 1, first: index })
    else {
      known.count++
      known.first = Math.min(known.first, index)
    }
  }
}

/** The next of the bytes at `from`, `from + step`, … that has all bits of the mask; −1 where none has. */
function marked(bytes: Uint8Array, from: number, step: number, mask: number): number {
  const { length } = bytes
  for (let at = from; at < length; at += step) if ((bytes[at] & mask) === mask) return at
  return -1
}

/** Whether no mark before `place` shows already what the unit from `at` on may hold: it is decoded once. */
const isFirstMark = (storage: StorageType, bytes: Uint8Array, at: number, place: number): boolean =>
  (marks[storage] ?? []).every(([other, mask]) => other >= place || (bytes[at + other] & mask) !== mask)

/** What the person is told, in one sentence. */
export function nonFiniteWarning(found: readonly NonFiniteTensor[]): string {
  const named = found
    .slice(0, 3)
    .map(({ name, count, first }) => `${name} (${count}, the first at index ${first})`)
  const more = found.length > named.length ? ` and ${found.length - named.length} more` : ''
  return `Some weights are not finite numbers, in ${named.join(', ')}${more}: what is computed with them will not be either.`
}
