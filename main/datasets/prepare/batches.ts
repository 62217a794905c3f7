/** Work on items some at a time: what waits for another thread waits once for many, and order stays. */

export interface BatchLimits<T> {
  /** Items of a batch at most. */
  readonly most: number
  /** Their weight at which a batch ends, whatever their number. */
  readonly weight?: number
  readonly weigh?: (item: T) => number
}

/** Items in batches, in order. */
export async function* inBatches<T>(
  items: AsyncIterable<T>,
  { most, weight = Infinity, weigh = () => 0 }: BatchLimits<T>,
): AsyncGenerator<T[]> {
  let batch: T[] = []
  let sum = 0
  for await (const item of items) {
    batch.push(item)
    sum += weigh(item)
    if (batch.length < most && sum < weight) continue
    yield batch
    batch = []
    sum = 0
  }
  if (batch.length > 0) yield batch
}

/**
 * What becomes of each item, in order. The items of a batch are worked on at the same time, and the next batch is begun
 * before what became of this one is taken.
 * @throws what the work throws, behind what became of the items before
 */
export async function* batchByBatch<T, R>(
  batches: AsyncIterable<readonly T[]>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  // Settled, so that nothing of a batch that nobody takes any more counts as unhandled.
  let ahead: Promise<PromiseSettledResult<R>[]> = Promise.resolve([])
  for await (const batch of batches) {
    const next = Promise.allSettled(batch.map(work))
    yield* taken(await ahead)
    ahead = next
  }
  yield* taken(await ahead)
}

function* taken<R>(results: readonly PromiseSettledResult<R>[]): Generator<R> {
  for (const result of results) {
    if (result.status === 'rejected') throw result.reason
    yield result.value
  }
}
