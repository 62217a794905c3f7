/** Activations straight from a model, batch of texts after batch of texts, as they are trained on. */
import { runInput, type RunInput, type RunResult } from '../../../preload/run'
import { sizeOf } from '../../../preload/tensor'
import type { ActivationChunk, ActivationSource } from './source'

/** Runs a request on a model. */
export type RunModel = (input: RunInput) => Promise<RunResult>

export interface ModelActivations {
  readonly run: RunModel
  /** Fingerprint of the model. */
  readonly model: string
  readonly hook: string
  /** Numbers a position has there. */
  readonly width: number
  /** For transcoders: where what is to be reconstructed is read. */
  readonly output: { readonly hook: string; readonly width: number } | null
  /** Batches of token rows behind the first `skip`; the same ones each time. */
  readonly texts: (
    skip: number,
  ) => Iterable<readonly (readonly number[])[]> | AsyncIterable<readonly (readonly number[])[]>
  /** Positions before it are left out: first positions have activations like no others. */
  readonly firstPosition: number
}

/** One chunk for each batch of texts: all positions of all rows, padding left out. */
export function modelActivations(given: ModelActivations): ActivationSource {
  const { run, model, hook, width, output, texts, firstPosition } = given
  const captures = output === null ? [hook] : [hook, output.hook]
  return {
    dIn: width,
    dOut: output?.width ?? null,
    chunks: async function* (skip) {
      for await (const rows of texts(skip)) {
        const input = runInput.parse({ request: { model, rows, captures, logits: 'none' } })
        const { captures: captured } = await run(input)
        const pick = (name: string): Float32Array => realPositions(captured[name], rows, firstPosition)
        const x = pick(hook)
        yield {
          rows: x.length / width,
          x,
          y: output === null ? undefined : pick(output.hook),
        } satisfies ActivationChunk
      }
    },
  }
}

/** Positions from `first` on of each row of [batch, pos, …], one behind the other. */
function realPositions(
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  rows: readonly (readonly number[])[],
  first: number,
): Float32Array {
  const [, positions, ...rest] = shape
  const width = sizeOf(rest)
  const counts = rows.map((row) => Math.max(0, row.length - first))
  const picked = new Float32Array(counts.reduce((sum, count) => sum + count, 0) * width)
  let at = 0
  counts.forEach((count, row) => {
    const start = (row * positions + first) * width
    picked.set(data.subarray(start, start + count * width), at)
    at += count * width
  })
  return picked
}
