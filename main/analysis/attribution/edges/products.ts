/** The two matrix products that scoring edges is made of, on ONNX Runtime: tens of times faster than loops. */
import { GraphBuilder } from '../../../onnx/builder'
import type { Graph } from '../../../onnx/graph'
import { floatData, floats, Session } from '../../../runtime/session'

export class Products {
  private constructor(private readonly sessions: Readonly<Record<'overRows' | 'byHead', Session>>) {}

  /** @throws PatchbayError `run.failed` */
  static async create(): Promise<Products> {
    const options = { provider: 'cpu', prepack: false } as const
    const overRows = await Session.create(overRowsGraph(), options)
    try {
      return new Products({ overRows, byHead: await Session.create(byHeadGraph(), options) })
    } catch (error) {
      await overRows.release()
      throw error
    }
  }

  /** Scalar products of all rows of a [m, width] with all of b [n, width]: [m, n]. */
  async overRows(a: Float32Array, b: Float32Array, width: number): Promise<Float32Array> {
    const feeds = { a: floats(a, [a.length / width, width]), b: floats(b, [b.length / width, width]) }
    return floatData((await this.sessions.overRows.run(feeds, ['product'])).product)
  }

  /** a [head, n, inner] times b [head, inner, outer], head by head: [head, n, outer]. */
  async byHead(
    a: Float32Array,
    b: Float32Array,
    { heads, inner, outer }: { heads: number; inner: number; outer: number },
  ): Promise<Float32Array> {
    const feeds = {
      a: floats(a, [heads, a.length / heads / inner, inner]),
      b: floats(b, [heads, inner, outer]),
    }
    return floatData((await this.sessions.byHead.run(feeds, ['product'])).product)
  }

  async release(): Promise<void> {
    await this.sessions.overRows.release()
    await this.sessions.byHead.release()
  }
}

function overRowsGraph(): Graph {
  const g = new GraphBuilder('products_over_rows')
  const a = g.input('a', 'float32', ['m', 'width'])
  const b = g.input('b', 'float32', ['n', 'width'])
  g.output(g.op('Gemm', [a, b], { transB: 1 }), 'product')
  return g.finish()
}

function byHeadGraph(): Graph {
  const g = new GraphBuilder('products_by_head')
  const a = g.input('a', 'float32', ['head', 'n', 'inner'])
  const b = g.input('b', 'float32', ['head', 'inner', 'outer'])
  g.output(g.op('MatMul', [a, b], {}), 'product')
  return g.finish()
}
