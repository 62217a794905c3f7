/**
 * NumPy's `.npy`, read: one array with a small header (numpy/lib/format.py, versions 1.0 and 2.0), little-endian, row-major.
 * What writes it is shared with the window, see preload/npy.ts.
 */
import { npyDescriptions, npyMagic, type NpyArray, type NpyType } from '../../../preload/npy'
import { view } from './decode'
import { malformed, quoted } from './malformed'
import { elementsOf } from './storage'

export { encodeNpy, type NpyArray, type NpyType } from '../../../preload/npy'

/** NumPy itself refuses headers beyond 10,000 bytes unless told otherwise. */
const longestHeader = 65536

/**
 * An array out of the bytes of a `.npy` file; the data is a view into them where it lies aligned.
 * @param label stands for the file in error messages
 * @throws PatchbayError `file.malformed`
 */
export function decodeNpy(bytes: Uint8Array, label: string): NpyArray {
  const { text, start } = headerOf(bytes, label)
  const fields = fieldsOf(text, label)
  if (fields.fortran)
    throw malformed(label, 'is stored column by column (fortran_order)', {
      field: 'fortran_order',
      next: 'Save it again from numpy.ascontiguousarray(array).',
    })
  const elements = elementsOf(fields.shape)
  const width = Number(fields.description.slice(2))
  if (elements === undefined || start + elements * width !== bytes.length)
    throw malformed(
      label,
      `an array of ${fields.shape.join(' × ')} ${fields.type} takes ${elements === undefined ? 'too many' : elements * width} bytes, but there are ${bytes.length - start}`,
      { field: 'shape', offset: start },
    )
  return arrayOf(fields.type, fields.shape, bytes.subarray(start), elements)
}

function headerOf(bytes: Uint8Array, label: string): { text: string; start: number } {
  if (bytes.length < 10 || npyMagic.some((byte, i) => bytes[i] !== byte))
    throw malformed(label, 'does not begin like an .npy file', { field: 'magic', offset: 0 })
  const version = bytes[6]
  if ((version !== 1 && version !== 2) || bytes[7] !== 0)
    throw malformed(label, `has the .npy version ${version}.${bytes[7]}; 1.0 and 2.0 are read`, {
      field: 'version',
      offset: 6,
    })
  const prefix = version === 1 ? 10 : 12
  if (bytes.length < prefix) throw malformed(label, 'ends inside of its header', { offset: bytes.length })
  const numbers = new DataView(bytes.buffer, bytes.byteOffset)
  const start = prefix + (version === 1 ? numbers.getUint16(8, true) : numbers.getUint32(8, true))
  if (start > bytes.length)
    throw malformed(label, 'ends inside of its header', { field: 'header length', offset: 8 })
  if (start > longestHeader)
    throw malformed(label, `has a header of ${start} bytes`, { field: 'header length', offset: 8 })
  return { text: Buffer.from(bytes.subarray(prefix, start)).toString('latin1'), start }
}

/** The header is a Python dictionary; only the three keys that the format has, in any order, are understood. */
function fieldsOf(text: string, label: string) {
  const entry = /'(descr|fortran_order|shape)': *('[^'\\]{0,20}'|True|False|\([\d, ]*\)) *,? */y
  const found = new Map<string, string>()
  const open = /^ *\{ */.exec(text)
  const bad = (problem: string) => malformed(label, problem, { field: 'header', offset: 10 })
  if (open === null) throw bad('has a header that is no dictionary')
  entry.lastIndex = open[0].length
  let end = entry.lastIndex
  for (let match = entry.exec(text); match !== null; match = entry.exec(text)) {
    if (found.has(match[1])) throw bad(`has ${match[1]} twice`)
    found.set(match[1], match[2])
    end = entry.lastIndex
  }
  if (!/^\}[ \n]*$/.test(text.slice(end)) || found.size !== 3)
    throw bad("has a header that is not {'descr', 'fortran_order', 'shape'}")
  const description = (found.get('descr') ?? '').slice(1, -1)
  const type = npyTypes.find((candidate) => npyDescriptions[candidate] === description)
  if (type === undefined) throw bad(`has elements of type ${quoted(description)}, which are not read`)
  const order = found.get('fortran_order')
  if (order !== 'True' && order !== 'False') throw bad('has a fortran_order that is neither True nor False')
  const dimensions = (found.get('shape') ?? '').replaceAll(' ', '').slice(1, -1)
  if (!/^(\d+(,\d+)*,?)?$/.test(dimensions)) throw bad('has a shape that is no tuple of numbers')
  const shape = dimensions
    .split(',')
    .filter((n) => n !== '')
    .map(Number)
  return { type, description, shape, fortran: order === 'True' && shape.length > 1 }
}

const npyTypes = Object.keys(npyDescriptions) as NpyType[]

function arrayOf(type: NpyType, shape: readonly number[], bytes: Uint8Array, length: number): NpyArray {
  switch (type) {
    case 'float64':
      return { type, shape, data: view(Float64Array, bytes, length) }
    case 'float32':
      return { type, shape, data: view(Float32Array, bytes, length) }
    case 'float16':
      return { type, shape, data: view(Uint16Array, bytes, length) }
    case 'int64':
      return { type, shape, data: view(BigInt64Array, bytes, length) }
    case 'int32':
      return { type, shape, data: view(Int32Array, bytes, length) }
    case 'uint8':
    case 'bool':
      return { type, shape, data: view(Uint8Array, bytes, length) }
  }
}
