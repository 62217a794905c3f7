/** What an exported graph is fed: tokens, mask, positions, and keys and values of earlier positions. */
import { Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../../preload/errors'
import type { Recognition } from '../../models/exported/recognise'
import type { Declared } from '../../onnx/exported/model'
import type { KeyValueCache } from '../kv'
import { GAP, type Layout } from '../layout'
import { floats, type Feeds } from '../session'

export interface FeedRequest {
  readonly layout: Layout
  /** Token ids of each row. */
  readonly rows: readonly (readonly number[])[]
  readonly cache: KeyValueCache | undefined
  /** Positions that the model has embeddings for. */
  readonly contextLength: number
}

/** All inputs of the graph, by name. @throws PatchbayError `model.unsupported` for sizes that the export has fixed */
export function graphFeeds({ roles, axes, decoder, view }: Recognition, request: FeedRequest): Feeds {
  const { layout, rows, cache, contextLength } = request
  const { batch, queries, past, queryPositions, keyPositions } = layout
  const declared = new Map(view.model.graph.inputs.map((input) => [input.name, input]))
  fixed(axes.batch, batch, 'rows')
  fixed(axes.pos, queries, 'tokens')
  const input = (name: string): Declared => declared.get(name) ?? { name, type: null, shape: null }
  const shape = [batch, queries]
  const ids = rows.flatMap((row) => [...row, ...Array<number>(queries - row.length).fill(0)])
  const feeds: Feeds = { [roles.tokens]: integers(input(roles.tokens), ids, shape) }
  if (roles.mask !== null) {
    const mask = Array.from(keyPositions, (position) => (position === GAP ? 0 : 1))
    feeds[roles.mask] = integers(input(roles.mask), mask, [batch, past + queries])
  }
  if (roles.positions !== null) {
    const places = Array.from(queryPositions, (p) => Math.min(Math.max(0, p), contextLength - 1))
    feeds[roles.positions] = integers(input(roles.positions), places, shape)
  }
  for (const name of roles.past) feeds[name] = emptyPast(input(name), batch)
  decoder?.past?.forEach(({ key, value }, layer) => {
    const kept = cache?.layers[layer]
    if (kept === undefined || kept === null) return
    feeds[key.input] = kept.key
    feeds[value.input] = kept.value
  })
  return feeds
}

function fixed(dim: number | string, wanted: number, what: string): void {
  if (typeof dim !== 'number' || dim === wanted) return
  throw new PatchbayError(
    'model.unsupported',
    `This graph was exported for exactly ${dim} ${what}, not for ${wanted}.`,
    {
      next: 'Export it again with dynamic axes for batch and sequence.',
    },
  )
}

/** Whole numbers in the type that the graph wants. */
function integers({ name, type }: Declared, values: readonly number[], shape: readonly number[]): OrtTensor {
  switch (type) {
    case 'int64':
      return new OrtTensor('int64', BigInt64Array.from(values, BigInt), shape)
    case 'int32':
      return new OrtTensor('int32', Int32Array.from(values), shape)
    case 'bool':
      return new OrtTensor('bool', Uint8Array.from(values), shape)
    case 'float32':
      return floats(Float32Array.from(values), shape)
    default:
      throw new PatchbayError(
        'model.unsupported',
        `The input ${name} is of the type ${type}, which is not fed here.`,
        {
          next: 'Export the model again with int64 inputs.',
          field: name,
        },
      )
  }
}

/** No earlier positions: the axes that are no numbers are the batch and the positions. */
function emptyPast({ name, type, shape }: Declared, batch: number): OrtTensor {
  const dims = (shape ?? []).map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? batch : 0))
  if (type === 'float32') return floats(new Float32Array(0), dims)
  if (type === 'float16') return new OrtTensor('float16', new Uint16Array(0), dims)
  throw new PatchbayError(
    'model.unsupported',
    `The input ${name} is of the type ${type}, which is not fed here.`,
    { next: 'Export the model again in float32.', field: name },
  )
}
