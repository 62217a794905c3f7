import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { writeSafetensors, type SafetensorsInput } from '../../main/models/formats/safetensors'
import type { LinearSpec, TransformerSpec } from '../../main/models/spec'
import { sliced, unpermuted, weight, type Weight } from '../../main/models/weights'
import { GraphBuilder } from '../../main/onnx/builder'
import { weightsIn } from '../../main/runtime/graph/context'
import { placeWeights, type PlacedWeights } from '../../main/runtime/placement'
import { floatData, Session } from '../../main/runtime/session'

let folder: string
let checkpoint: Checkpoint | null
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'patchbay-placement-'))
  checkpoint = null
})
afterEach(async () => {
  await checkpoint?.close()
  rmSync(folder, { recursive: true, force: true })
})

const ROWS = 128
const COLUMNS = 80
const numbers = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => (i % 251) / 8)

/** float32 numbers of at most 8 significant bits as bfloat16. */
const upperHalves = (values: Float32Array): Uint8Array =>
  new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer)

/** As much of a spec as placement looks at: the weights in it. */
function specOf(used: Weight): TransformerSpec {
  const head: LinearSpec = { weight: used, bias: null, layout: 'out-in', inputs: COLUMNS, outputs: ROWS }
  return {
    family: 'test',
    dModel: COLUMNS,
    vocab: ROWS,
    contextLength: 8,
    embedding: { tokens: used, multiplier: 1, projection: null, norm: null, positions: null },
    blocks: [],
    unembedding: { norm: null, projection: null, head, tied: true, multiplier: 1, softcap: null },
    ropes: [],
  }
}

async function place(storage: SafetensorsInput['storage'], used: Weight): Promise<PlacedWeights> {
  await writeSafetensors(path.join(folder, 'model.safetensors'), [
    { name: 'w', shape: [ROWS, COLUMNS], storage, data: storage === 'F32' ? numbers : upperHalves(numbers) },
  ])
  checkpoint = await openCheckpoint(path.join(folder, 'model.safetensors'))
  return placeWeights({
    checkpoint,
    spec: specOf(used),
    fingerprint: 'abc',
    cacheDir: path.join(folder, 'cache'),
  })
}

/** The weight's numbers as a session sees them. */
async function seen(placed: PlacedWeights, used: Weight): Promise<number[]> {
  const g = new GraphBuilder('weight')
  g.output(g.op('Mul', [weightsIn(g, placed.add).weight(used), g.scalar(1)], {}), 'y')
  const session = await Session.create(g.finish(), { provider: 'cpu', folder: placed.folder, prepack: false })
  const { y } = await session.run({}, ['y'])
  await session.release()
  return Array.from(floatData(y))
}

describe('placing weights', () => {
  it('points into a float32 file as it lies, also at some of its rows', async () => {
    const rows = sliced(weight('w', ROWS, COLUMNS), 0, 3, 5)
    const placed = await place('F32', rows)
    expect(placed.inPlace).toBe(true)
    expect(await seen(placed, rows)).toEqual(Array.from(numbers.subarray(3 * COLUMNS, 5 * COLUMNS)))
    expect(readdirSync(folder)).toEqual(['model.safetensors'])
  })

  it('converts 16-bit weights once, into the cache folder', async () => {
    const whole = weight('w', ROWS, COLUMNS)
    const placed = await place('BF16', whole)
    expect(placed.inPlace).toBe(false)
    expect(await seen(placed, whole)).toEqual(Array.from(numbers))
    expect(readdirSync(path.join(folder, 'cache'))).toEqual(['abc.float32.safetensors'])
  })

  it('converts permuted rows', async () => {
    const permuted = unpermuted(weight('w', ROWS, COLUMNS), 1)
    const placed = await place('F32', permuted)
    const got = await seen(placed, permuted)
    const row = (i: number): number[] => got.slice(i * COLUMNS, (i + 1) * COLUMNS)
    expect(row(1)).toEqual(Array.from(numbers.subarray(2 * COLUMNS, 3 * COLUMNS)))
    expect(row(ROWS / 2)).toEqual(Array.from(numbers.subarray(COLUMNS, 2 * COLUMNS)))
  })

  it('keeps small converted weights in the graph', async () => {
    const few = sliced(weight('w', ROWS, COLUMNS), 0, 0, 2)
    const placed = await place('BF16', few)
    expect(placed.inPlace).toBe(true)
    expect(await seen(placed, few)).toEqual(Array.from(numbers.subarray(0, 2 * COLUMNS)))
  })

  it('names a tensor that is absent or has another shape', async () => {
    await expect(place('F32', weight('other', 4, 4))).rejects.toMatchObject({
      code: 'model.incomplete',
      field: 'other',
    })
    await checkpoint?.close()
    await expect(place('F32', weight('w', COLUMNS, ROWS))).rejects.toMatchObject({
      code: 'model.unsupported',
      field: 'w',
      message: expect.stringContaining('128×80') as string,
    })
  })
})
