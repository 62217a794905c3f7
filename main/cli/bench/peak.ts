/** What this machine can multiply at best: one large matrix product of float32, by the library that runs the models. */
import { GraphBuilder } from '../../onnx/builder'
import { floats, Session } from '../../runtime/session'

const SIZE = 1024
const RUNS = 12

/** GFLOP/s of the fastest of some products of 1024 × 1024 matrices, on all cores. */
export async function peak(): Promise<number> {
  const g = new GraphBuilder('peak')
  const a = g.input('a', 'float32', ['rows', SIZE])
  const weights = Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i))
  const b = g.inline('b', 'float32', [SIZE, SIZE], weights)
  g.output(g.op('Gemm', [a, b], { transB: 1 }), 'c')
  const session = await Session.create(g.finish(), { provider: 'cpu', prepack: true })
  try {
    const feeds = { a: floats(weights, [SIZE, SIZE]) }
    let least = Infinity
    for (let i = 0; i < RUNS; i++) {
      const start = performance.now()
      await session.run(feeds, ['c'])
      least = Math.min(least, performance.now() - start)
    }
    return (2 * SIZE ** 3) / (least / 1000) / 1e9
  } finally {
    await session.release()
  }
}
