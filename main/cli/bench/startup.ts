/**
 * `startup`: from the start of a process to its first forward pass done, caches warm, beside a process that opens the same
 * model as one graph. Each is a child process of its own.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { serialise } from '../../onnx/serialise'
import { wholeGraph } from '../../runtime'
import { childArguments, untilPrinted, type Restart } from './child'
import { pairOf } from './measure'
import { DONE, type FeedFile } from './startup-child'
import { sampleTokens, type BenchContext, type TaskResult } from './tasks'

const LENGTH = 128

export async function startup({ model, floor, runs }: BenchContext, restart: Restart): Promise<TaskResult> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-bench-'))
  try {
    const { stack, weights, lowering } = model.own
    const graph = path.join(folder, 'whole.onnx')
    const feeds = path.join(folder, 'feeds.json')
    const tokens = sampleTokens(model, LENGTH)
    floor.reset()
    await writeFile(graph, serialise(wholeGraph(stack.spec, weights.add, lowering)))
    await writeFile(feeds, JSON.stringify(feedFileOf(floor.feedsOf(tokens))))
    const child = childArguments(restart)
    const ours = [...child, '--precision', model.description.precision, '--child-tokens', tokens.join(',')]
    const bare = [...child, '--child-graph', graph, '--child-weights', weights.folder, '--child-feeds', feeds]
    await processSeconds(ours) // warms the file cache
    await processSeconds(bare)
    const times: [number[], number[]] = [[], []]
    for (let i = 0; i < runs; i++) {
      times[0].push(await processSeconds(ours))
      times[1].push(await processSeconds(bare))
    }
    const { ours: own, floor: other, ratio, ratio_min } = pairOf(...times)
    return { task: 'startup', ...own, detail: { tokens: LENGTH, floor_s: other.median_s, ratio, ratio_min } }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Feeds = ReturnType<BenchContext['floor']['feedsOf']>

const feedFileOf = (feeds: Feeds): FeedFile =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      {
        type: type === 'int64' ? 'int64' : 'float32',
        dims: [...dims],
        data: bytesOf(data as Float32Array | BigInt64Array).toString('base64'),
      },
    ]),
  )

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | BigInt64Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

/** Seconds from spawning Node until it says that its forward pass is done. */
const processSeconds = async (args: readonly string[]): Promise<number> =>
  (await untilPrinted(args, DONE)).seconds
