/** Weights that are not numbers: a model with NaN or infinity among them loads, but the person is told. */
import { throwIfCancelled } from '../../files/durable-file'
import type { Checkpoint } from './checkpoint'

export interface NonFinite {
  nan: number
  infinite: number
  /** Index of the first such element. */
  first: number
}

export interface NonFiniteTensor extends NonFinite {
  name: string
}

/** Counts NaN and infinity; undefined where there are none. */
export function nonFiniteOf(values: Float32Array): NonFinite | undefined {
  let nan = 0
  let infinite = 0
  let first = -1
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue
    if (first < 0) first = i
    if (Number.isNaN(values[i])) nan++
    else infinite++
  }
  return first < 0 ? undefined : { nan, infinite, first }
}

/**
 * Looks through all weights of a checkpoint, tensor by tensor.
 * @param onProgress tensors looked at, of all
 * @throws PatchbayError as `readFloat32`; `run.cancelled`
 */
export async function nonFiniteTensors(
  checkpoint: Checkpoint,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void } = {},
): Promise<NonFiniteTensor[]> {
  const found: NonFiniteTensor[] = []
  let done = 0
  for (const [name, { storage }] of checkpoint.tensors) {
    throwIfCancelled(signal, checkpoint.files[0] ?? 'the model')
    const scanned = /^(I\d+|U\d+|BOOL)$/.test(storage)
      ? undefined
      : nonFiniteOf(await checkpoint.readFloat32(name))
    if (scanned !== undefined) found.push({ name, ...scanned })
    onProgress?.(++done, checkpoint.tensors.size)
  }
  return found
}
