/** Export as a Zarr group (version 3): an array an output, in chunks of some megabytes along the first axis. */
import path from 'node:path'
import { FileSystemStore } from '@zarrita/storage'
import * as zarr from 'zarrita'
import { PatchbayError } from '../../../preload/errors'
import { throwIfCancelled } from '../../files/durable-file'
import { rowsOf, type Layout } from './layout'
import { counting, type ExportSubject } from './subject'
import { encodedValues } from './value-type'

const CHUNK_NUMBERS = 1 << 20
const codecs = [{ name: 'bytes', configuration: { endian: 'little' } }]

/** @param attributes of the group: what it is, for whoever opens it */
export async function writeZarr(subject: ExportSubject, attributes: Record<string, unknown>): Promise<void> {
  const root = zarr.root(new FileSystemStore(path.join(subject.folder, 'values.zarr')))
  await zarr.create(root, { attributes })
  for (const { layout, file } of subject.outputs) {
    const { offsets, shapes, output } = layout
    await writeValues(subject, layout, root.resolve(file), {
      output: output.name,
      dims: layout.kind === 'stacked' ? ['row', ...output.dims] : output.dims,
    })
    if (offsets !== null) await writeIntegers(root.resolve(`${file}+offsets`), [offsets.length], offsets)
    if (shapes !== null) await writeIntegers(root.resolve(`${file}+shapes`), shapes.shape, shapes.data)
  }
}

type Place = zarr.Location<FileSystemStore>

/** As uint32: zarrita can not say which 64-bit integer fills an array. */
async function writeIntegers(place: Place, shape: number[], values: BigInt64Array): Promise<void> {
  const data = Uint32Array.from(values, Number)
  if (values.some((value, i) => value !== BigInt(data[i])))
    throw new PatchbayError('input.invalid', 'There are too many values for one Zarr array with offsets.', {
      field: 'format',
      next: 'Export as npy or safetensors, or fewer rows.',
    })
  const chunkShape = shape.map((size) => Math.max(1, size))
  const array = await zarr.create(place, { shape, chunkShape, dtype: 'uint32', codecs, fillValue: 0 })
  await zarr.set(array, null, { data, shape, stride: strides(shape) })
}

async function writeValues(
  { collection, rows, signal, onRows }: ExportSubject,
  layout: Layout,
  place: Place,
  attributes: Record<string, unknown>,
): Promise<void> {
  const { shape, type } = layout
  const [total, ...rest] = shape
  const inner = rest.reduce((product, n) => product * n, 1)
  const steps = Math.max(1, Math.min(Math.max(1, total), Math.floor(CHUNK_NUMBERS / Math.max(1, inner))))
  const chunkShape = [steps, ...rest.map((size) => Math.max(1, size))]
  const create = { shape, chunkShape, codecs, fillValue: 0, attributes }
  const half = type === 'float16'
  const array = await zarr.create(place, { ...create, dtype: half ? 'uint16' : 'float32' })
  const chunk = new Float32Array(steps * inner)
  let filled = 0
  let start = 0
  const flush = async (): Promise<void> => {
    throwIfCancelled(signal, 'the export')
    const count = filled / inner
    const part = [count, ...rest]
    const selection = [zarr.slice(start, start + count), ...rest.map(() => null)]
    const data = encodedValues(chunk.subarray(0, filled), type)
    await zarr.set(array, selection, { data, shape: part, stride: strides(part) })
    start += count
    filled = 0
  }
  for await (const values of rowsOf(collection, layout, rows, { signal, onProgress: counting(onRows) })) {
    for (let at = 0; at < values.length;) {
      const taken = Math.min(values.length - at, chunk.length - filled)
      chunk.set(values.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled === chunk.length) await flush()
    }
  }
  if (filled > 0) await flush()
  if (half) await nameFloat16(place)
}

/** Says that an array of 16-bit words is one of float16, which zarrita writes on newer runtimes only; the bytes are the same. */
async function nameFloat16(place: Place): Promise<void> {
  const key = place.resolve('zarr.json').path
  const bytes = await place.store.get(key)
  if (bytes === undefined) throw new PatchbayError('internal', `Zarr wrote no ${key}.`)
  const metadata = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>
  await place.store.set(key, Buffer.from(JSON.stringify({ ...metadata, data_type: 'float16' }, null, 2)))
}

const strides = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1))
