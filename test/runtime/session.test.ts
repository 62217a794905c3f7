import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../main/onnx/builder'
import { floats, Session } from '../../main/runtime/session'

const SIZE = 1 << 18

async function negation(): Promise<Session> {
  const g = new GraphBuilder('negation')
  g.output(g.op('Neg', [g.input('x', 'float32', ['n'])], {}), 'y')
  return Session.create(g.finish(), { provider: 'cpu', prepack: false })
}

describe('a session whose outputs go into memory that is there', () => {
  it('writes them there, and leaves no copies for the garbage collector', async () => {
    const session = await negation()
    const x = floats(new Float32Array(SIZE).fill(3), [SIZE])
    const into = new Float32Array(SIZE)
    const before = process.memoryUsage().arrayBuffers
    for (let run = 0; run < 20; run++) await session.runInto({ x }, { y: floats(into, [SIZE]) })
    // One copy is 1 MB; none is collected before there are more than 20.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2e6)
    expect([into[0], into[SIZE - 1]]).toEqual([-3, -3])
    await session.release()
  })
})
