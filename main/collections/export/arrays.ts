/** Exports as arrays: safetensors, npy, npz. Written number by number as they are read, whatever their size. */
import path from 'node:path'
import { Zip, ZipPassThrough } from 'fflate'
import { npyHeader, type NpyType } from '../../../preload/npy'
import { PatchbayError } from '../../../preload/errors'
import { writeDurably, type Append } from '../../files/durable-file'
import { safetensorsHeader } from '../../models/formats/safetensors'
import { rowsOf, sizeOfLayout, type Layout } from './layout'
import { counting, type ExportSubject } from './subject'
import { encodedValues, valueBytes, type ValueType } from './value-type'

/** An array to write. */
interface ArrayPart {
  /** Behind the output's name: its values, `+offsets`, `+shapes`. */
  suffix: '' | '+offsets' | '+shapes'
  type: ValueType | 'int64'
  shape: number[]
  bytes: number
  chunks: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

const WRITTEN_TOGETHER = 4 << 20

const elementBytes = { ...valueBytes, int64: 8 } as const
const storages = { int64: 'I64', float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const

/** @throws PatchbayError `internal` for bfloat16, which npy has not: it is never chosen for it */
function npyType(type: ArrayPart['type']): NpyType {
  if (type !== 'bfloat16') return type
  throw new PatchbayError('internal', 'npy has no bfloat16.')
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)

/** The arrays of an output; its values are read when they are written. */
function partsOf({ collection, rows, signal, onRows }: ExportSubject, layout: Layout): ArrayPart[] {
  const { offsets, shapes, shape, type } = layout
  const parts: ArrayPart[] = []
  const whole = (suffix: ArrayPart['suffix'], size: number[], data: BigInt64Array): void => {
    const bytes = bytesOf(data)
    parts.push({ suffix, type: 'int64', shape: size, bytes: bytes.length, chunks: () => [bytes] })
  }
  if (offsets !== null) whole('+offsets', [offsets.length], offsets)
  if (shapes !== null) whole('+shapes', shapes.shape, shapes.data)
  parts.push({
    suffix: '',
    type,
    shape,
    bytes: valueBytes[type] * sizeOfLayout(layout),
    chunks: async function* () {
      // Rows are small; they are written some megabytes at a time.
      let waiting: Uint8Array[] = []
      let size = 0
      for await (const values of rowsOf(collection, layout, rows, { signal, onProgress: counting(onRows) })) {
        const bytes = bytesOf(encodedValues(values, type))
        waiting.push(bytes)
        size += bytes.length
        if (size < WRITTEN_TOGETHER) continue
        yield Buffer.concat(waiting)
        waiting = []
        size = 0
      }
      yield Buffer.concat(waiting)
    },
  })
  return parts
}

/** One file with a tensor for each output. @param metadata strings for its header */
export async function writeSafetensors(
  subject: ExportSubject,
  metadata: Record<string, string>,
): Promise<void> {
  const parts = subject.outputs
    .flatMap(({ layout }) =>
      partsOf(subject, layout).map((part) => ({ ...part, name: layout.output.name + part.suffix })),
    )
    // Larger elements first, as the header has them.
    .sort((a, b) => elementBytes[b.type] - elementBytes[a.type])
  const header = safetensorsHeader(
    parts.map(({ name, shape, type, chunks }) => ({
      name,
      shape,
      storage: storages[type],
      data: () => {
        throw new PatchbayError('internal', `${name} is written in pieces (${typeof chunks}).`)
      },
    })),
    metadata,
  )
  await writeDurably(
    path.join(subject.folder, 'values.safetensors'),
    async (append) => {
      await append(header)
      for (const part of parts) for await (const chunk of part.chunks()) await append(chunk)
    },
    { signal: subject.signal },
  )
}

/** One file an output. */
export async function writeNpy(subject: ExportSubject): Promise<void> {
  for (const { layout, file } of subject.outputs)
    for (const part of partsOf(subject, layout))
      await writeDurably(
        path.join(subject.folder, `${file}${part.suffix}.npy`),
        async (append) => {
          await append(npyHeader(npyType(part.type), part.shape))
          for await (const chunk of part.chunks()) await append(chunk)
        },
        { signal: subject.signal },
      )
}

/** What a ZIP file without its 64-bit form can hold. */
const MOST_ZIP = 2 ** 32 - 2 ** 20

/**
 * One ZIP file of npy files, stored as they are, which numpy opens like a dictionary.
 * @throws PatchbayError `input.invalid` for more than 4 GB
 */
export async function writeNpz(subject: ExportSubject): Promise<void> {
  const parts = subject.outputs.flatMap(({ layout, file }) =>
    partsOf(subject, layout).map((part) => ({ ...part, name: `${file}${part.suffix}.npy` })),
  )
  if (parts.reduce((sum, { bytes }) => sum + bytes, 0) > MOST_ZIP)
    throw new PatchbayError('input.invalid', 'A .npz file holds at most 4 GB.', {
      field: 'format',
      next: 'Export as npy or safetensors, or fewer outputs or rows.',
    })
  await writeDurably(
    path.join(subject.folder, 'values.npz'),
    async (append) => {
      const zip = new StoredZip(append)
      for (const { name, type, shape, chunks } of parts) {
        const entry = zip.add(name)
        await entry(npyHeader(npyType(type), shape), false)
        for await (const chunk of chunks()) await entry(chunk, false)
        await entry(new Uint8Array(0), true)
      }
      await zip.end()
    },
    { signal: subject.signal },
  )
}

/** A ZIP file whose bytes are appended as they are made. */
class StoredZip {
  private waiting: Uint8Array[] = []
  private failure: Error | null = null
  private readonly zip = new Zip((error, chunk) => {
    if (error !== null) this.failure = error
    else this.waiting.push(chunk)
  })

  constructor(private readonly append: Append) {}

  add(name: string): (chunk: Uint8Array, last: boolean) => Promise<void> {
    const entry = new ZipPassThrough(name)
    // The same collection gives the same file.
    entry.mtime = new Date(1980, 0, 1)
    this.zip.add(entry)
    return (chunk, last) => {
      entry.push(chunk, last)
      return this.flush()
    }
  }

  end(): Promise<void> {
    this.zip.end()
    return this.flush()
  }

  private async flush(): Promise<void> {
    const made = this.waiting
    this.waiting = []
    if (this.failure !== null) throw this.failure
    for (const chunk of made) await this.append(chunk)
  }
}
