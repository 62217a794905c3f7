/** An ONNX file that somebody else exported, opened: its graph, and where its weights lie. */
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import type { ElementType } from '../../../onnx/element-types'
import type { OnnxModel, StoredTensor } from '../../../onnx/exported/model'
import { readModel } from '../../../onnx/exported/read'
import type { Checkpoint, TensorEntry } from '../checkpoint'
import { decodeFloat32 } from '../decode'
import { malformed } from '../malformed'
import { PositionalFile } from '../positional-file'
import type { PlainType } from '../storage'
import { TensorFiles } from '../tensor-files'
import { checkExternalData } from './external-data'

/** What the rooms above use of it, in the form of a checkpoint; `config` is that of the model's folder. */
export interface OnnxCheckpoint extends Omit<Checkpoint, 'format'> {
  readonly format: 'onnx'
  readonly model: OnnxModel
  /** Folder that sessions find the weights in. */
  readonly folder: string
}

/** Storage types of the element types that can be read as numbers. */
const storageTypes: Partial<Record<ElementType, PlainType>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float64: 'F64',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  float8e4m3fn: 'F8_E4M3',
  float8e5m2: 'F8_E5M2',
}

/**
 * Opens and validates an ONNX file and the files that its weights lie in; no weights are read.
 * @param config the parsed `config.json` of its folder, or undefined
 * @throws PatchbayError `file.*`, `model.incomplete`, `model.unsupported`, naming the file and what in it is wrong
 */
export async function openOnnx(file: string, config: unknown): Promise<OnnxCheckpoint> {
  const source = await PositionalFile.open(file)
  const opened: PositionalFile[] = [source]
  try {
    const own = path.basename(source.path)
    const read = await readModel(source, own).catch((error: unknown) => {
      throw ofFile(error, file)
    })
    const paths = { given: path.resolve(file), real: source.path }
    const external = await checkExternalData(paths, read.graph.initialisers.values(), own)
    for (const place of external.values()) opened.push(await PositionalFile.open(place.path))
    const model = relocated(read, (location) => external.get(location)?.name ?? location)
    const folder = path.dirname(source.path)
    const tensors = entriesOf(model, folder, source.path)
    const files = new TensorFiles(opened, tensors)
    return {
      format: 'onnx',
      model,
      folder,
      files: opened.map((each) => each.path).sort(),
      tensors,
      config,
      metadata: new Map(),
      warnings: warningsOf(model),
      readFloat32: async (name) =>
        inlineNumbers(model.graph.initialisers.get(name)) ?? files.readFloat32(name),
      readRaw: (name, start, end) => files.readRaw(name, start, end),
      close: () => files.close(),
    }
  } catch (error) {
    for (const each of opened) await each.close()
    throw error
  }
}

/** An error of the reader, which knows no file, with the file's name. */
function ofFile(error: unknown, file: string): unknown {
  if (!(error instanceof PatchbayError) || error.file !== undefined) return error
  if (error.code === 'file.malformed')
    return malformed(file, error.message.replace(/( \(byte \d+\))?\.$/, ''), { ...error, cause: error })
  const { next, field, offset } = error
  return new PatchbayError(error.code, `${path.basename(file)}: ${error.message}`, {
    next,
    field,
    offset,
    file,
    cause: error,
  })
}

/** The model with the names that sessions find external files by. */
function relocated(model: OnnxModel, nameOf: (location: string) => string): OnnxModel {
  const initialisers = new Map<string, StoredTensor>()
  for (const tensor of model.graph.initialisers.values()) {
    const { storage } = tensor
    const placed = storage.kind === 'external' ? { ...storage, file: nameOf(storage.file) } : storage
    initialisers.set(tensor.name, { ...tensor, storage: placed })
  }
  return { ...model, graph: { ...model.graph, initialisers } }
}

function entriesOf(model: OnnxModel, folder: string, own: string): Map<string, TensorEntry> {
  const entries = new Map<string, TensorEntry>()
  for (const { name, type, shape, storage } of model.graph.initialisers.values()) {
    const stored = storageTypes[type]
    if (stored === undefined) continue
    const place =
      storage.kind === 'external'
        ? { file: path.join(folder, storage.file), offset: storage.offset, byteLength: storage.length }
        : { file: own, offset: 0, byteLength: storage.bytes.length }
    entries.set(name, { name, storage: stored, shape, ...place })
  }
  return entries
}

/** The numbers of a tensor that was kept in the model. */
function inlineNumbers(tensor: StoredTensor | undefined): Float32Array | null {
  if (tensor?.storage.kind !== 'inline') return null
  const stored = storageTypes[tensor.type]
  if (stored === undefined) return null
  const out = new Float32Array(tensor.shape.reduce((product, dim) => product * dim, 1))
  decodeFloat32(stored, tensor.storage.bytes, out)
  return out
}

function warningsOf({ graph }: OnnxModel): string[] {
  const loop = graph.nodes.find(({ op, captured }) => op === 'Loop' || (op === 'Scan' && captured.length > 0))
  return loop === undefined
    ? []
    : [`The graph has a loop (${loop.name || loop.op}): a run may not end by itself, and is then stopped.`]
}
