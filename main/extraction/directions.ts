/** Directions that activations are projected on: the rows of a tensor in a file, or the vectors of a preset. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import type { Reduction } from '../../preload/extraction'
import { sizeOf, type Tensor } from '../../preload/tensor'
import { tensorHash } from '../cache/key'
import { decodeNpy } from '../models/formats/npy'
import { SafetensorsFile } from '../models/formats/safetensors'
import { GraphBuilder } from '../onnx/builder'
import { floatData, floats, Session } from '../runtime/session'
import type { Axes, Reducer } from './reductions'

type Source = Extract<Reduction, { kind: 'projection' }>['directions']

/** Vectors of a preset, as rows [n, d]. */
export type PresetVectors = (id: string) => Promise<Tensor>

/** More than any set of directions; larger ones are a mistake. */
const MAX_BYTES = 1e9

/**
 * Directions as rows [n, d].
 * @throws PatchbayError `file.missing`, `file.malformed`, `input.invalid` naming the tensors where none or a wrong one is named
 */
export async function readDirections(source: Source, presetVectors: PresetVectors): Promise<Tensor> {
  const { shape, data } =
    source.kind === 'preset'
      ? await presetVectors(source.id)
      : source.path.toLowerCase().endsWith('.npy')
        ? await fromNpy(source.path)
        : await fromSafetensors(source.path, source.tensor)
  const rows = shape.length === 1 ? [1, shape[0]] : shape
  if (rows.length !== 2 || data.length === 0)
    throw unusable(`Directions are rows [n, d], not a tensor [${shape.join(', ')}].`)
  if (!data.every(Number.isFinite)) throw unusable('The directions hold values that are not finite.')
  return { shape: rows, data }
}

async function fromNpy(file: string): Promise<Tensor> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(file)
  } catch (error) {
    throw asPatchbayError(error)
  }
  const { shape, data } = decodeNpy(bytes, path.basename(file))
  return { shape, data: Float32Array.from(data, Number) }
}

async function fromSafetensors(file: string, tensor: string | undefined): Promise<Tensor> {
  const opened = await SafetensorsFile.open(file)
  try {
    const names = [...opened.tensors.keys()]
    const name = tensor ?? (names.length === 1 ? names[0] : undefined)
    const entry = name === undefined ? undefined : opened.tensors.get(name)
    if (name === undefined || entry === undefined)
      throw new PatchbayError(
        'input.invalid',
        name === undefined
          ? `The file has ${names.length} tensors, and none of them is named.`
          : `The file has no tensor ${JSON.stringify(name.slice(0, 200))}.`,
        {
          file,
          field: 'reduction.directions.tensor',
          next: `It has ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}.`,
        },
      )
    if (4 * sizeOf(entry.shape) > MAX_BYTES) throw unusable('The directions take more than 1 GB.')
    return { shape: entry.shape, data: await opened.readFloat32(name) }
  } finally {
    await opened.close()
  }
}

const unusable = (message: string): PatchbayError =>
  new PatchbayError('input.invalid', message, {
    field: 'reduction.directions',
    next: 'Choose a tensor of rows that are as wide as the hook point.',
  })

/** Directions ready to project on: x · d of each, by the library that runs the models. */
export class Projector {
  readonly hash: string
  readonly count: number
  readonly width: number

  private constructor(
    { shape, data }: Tensor,
    private readonly session: Session,
  ) {
    ;[this.count, this.width] = shape
    this.hash = tensorHash({ shape, data })
  }

  /** @throws PatchbayError `run.failed`, `memory.exhausted` */
  static async create(directions: Tensor): Promise<Projector> {
    const [, width] = directions.shape
    const g = new GraphBuilder('projection')
    const x = g.input('x', 'float32', ['rows', width])
    const rows = g.inline('directions', 'float32', directions.shape, directions.data)
    g.output(g.op('Gemm', [x, rows], { transB: 1 }), 'projections')
    const session = await Session.create(g.finish(), { provider: 'cpu', prepack: true })
    return new Projector(directions, session)
  }

  /**
   * Projections of each vector along the last axis, or of all axes behind the positions' joined where they are as wide
   * together: [pos, …] → [pos, …, n].
   * @throws PatchbayError `input.invalid` for directions of another width
   */
  at({ dims, sizes }: Axes): Reducer {
    const joined = sizes.slice(1).reduce<number>((product, size) => product * (size ?? NaN), 1)
    const kept = sizes[sizes.length - 1] === this.width ? sizes.length - 1 : joined === this.width ? 1 : null
    if (kept === null)
      throw unusable(
        `The directions have ${this.width} numbers, where the hook point has [${dims.map((dim, i) => sizes[i] ?? dim).join(', ')}].`,
      )
    const axes = { dims: [...dims.slice(0, kept), 'direction'], sizes: [...sizes.slice(0, kept), this.count] }
    return {
      parts: [{ ...axes, extra: { content: this.hash } }],
      reduce: async ({ shape, data }) => {
        const x = floats(data, [data.length / this.width, this.width])
        const out = await this.session.run({ x }, ['projections'])
        return [{ shape: [...shape.slice(0, kept), this.count], data: floatData(out.projections) }]
      },
    }
  }

  release(): Promise<void> {
    return this.session.release()
  }
}
