/**
 * float32 to float16 by ONNX Runtime, which rounds many values at once and on several threads: measured at a fifth of the
 * time of a loop over the array. For large arrays; a small one is rounded before the session has begun.
 */
import { Tensor as OrtTensor } from 'onnxruntime-node'
import { GraphBuilder } from '../onnx/builder'
import { asPatchbayError } from '../../preload/errors'
import { floats, Session } from './session'

/** Values from which on the session is worth its start: measured at 0.15 ms, in which a loop rounds as many. */
export const LARGE = 1 << 16

export class HalfCast {
  private constructor(private readonly session: Session) {}

  /**
   * Null where the session does not round to nearest, ties to even, and subnormals as they have to be: then nobody may use
   * it, and the loop is right.
   */
  static async create(): Promise<HalfCast | null> {
    const g = new GraphBuilder('half_cast')
    const values = g.input('values', 'float32', ['n'])
    g.output(g.op('Cast', [values], { to: 'float16' }), 'halves')
    try {
      const session = await Session.create(g.finish(), { provider: 'cpu', prepack: false })
      const cast = new HalfCast(session)
      if (await cast.#isRight()) return cast
      await session.release()
      return null
    } catch (thrown) {
      // A runtime that does not take arrays for float16 as this one does.
      if (asPatchbayError(thrown).code === 'run.failed') return null
      throw thrown
    }
  }

  /**
   * Rounds to nearest, ties to even; what is beyond 65519.99 becomes infinite.
   * @param into float16 bits, as many as there are values
   */
  async run(values: Float32Array, into: Uint16Array): Promise<void> {
    await this.session.runInto(
      { values: floats(values, [values.length]) },
      { halves: new OrtTensor('float16', into, [into.length]) },
    )
  }

  release(): Promise<void> {
    return this.session.release()
  }

  async #isRight(): Promise<boolean> {
    const bits = new Uint16Array(known.length)
    await this.run(
      Float32Array.from(known, ([value]) => value),
      bits,
    )
    return known.every(([, half], i) => bits[i] === half)
  }
}

/** Values with their float16 bits: ties, the largest, what overflows, subnormals, signed zeros. */
const known: readonly (readonly [number, number])[] = [
  [1, 0x3c00],
  [-2.5, 0xc100],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [1 + 2 ** -11 + 2 ** -20, 0x3c01],
  [65504, 0x7bff],
  [65519, 0x7bff],
  [65520, 0x7c00],
  [-Infinity, 0xfc00],
  [2 ** -14, 0x0400],
  [2 ** -24, 0x0001],
  [3 * 2 ** -25, 0x0002],
  [2 ** -25, 0x0000],
  [-(2 ** -26), 0x8000],
  [0, 0x0000],
  [-0, 0x8000],
]
