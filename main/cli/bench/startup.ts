/**
 * `startup`: from the start of a process to its first forward pass done, caches warm, beside a process that opens the same
 * model as one graph. Each is a child process of its own.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { serialise } from '../../onnx/serialise'
import { wholeGraph } from '../../runtime'
import { pairOf } from './measure'
import { DONE, type FeedFile } from './startup-child'
import { sampleTokens, type BenchContext, type TaskResult } from './tasks'

const LENGTH = 128

/** How the command line is started anew, and how it was told which model. */
export interface Restart {
  script: string
  modelName: string
  provider: string
}

export async function startup({ model, floor, runs }: BenchContext, restart: Restart): Promise<TaskResult> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-bench-'))
  try {
    const { stack, weights, lowering } = model.loaded
    const graph = path.join(folder, 'whole.onnx')
    const feeds = path.join(folder, 'feeds.json')
    const tokens = sampleTokens(model, LENGTH)
    floor.reset()
    await writeFile(graph, serialise(wholeGraph(stack.spec, weights.add, lowering)))
    await writeFile(feeds, JSON.stringify(feedFileOf(floor.feedsOf(tokens))))
    const child = [restart.script, 'bench', '--model', restart.modelName, '--provider', restart.provider]
    const ours = [...child, '--child-tokens', tokens.join(',')]
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
        data: Array.from(data as Float32Array | BigInt64Array, Number),
      },
    ]),
  )

/** Seconds from spawning Node until it says that its forward pass is done. */
function processSeconds(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let seconds: number | null = null
    child.stdout.on('data', (chunk: Buffer) => {
      if (seconds === null && chunk.toString().includes(DONE)) seconds = (performance.now() - start) / 1000
    })
    child.once('error', reject)
    child.once('exit', (code) => {
      if (code === 0 && seconds !== null) resolve(seconds)
      else
        reject(
          new PatchbayError('run.failed', `A start-up process ended with code ${code} before it was done.`),
        )
    })
  })
}
