import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { readWeight } from '../../main/models/read-weight'
import {
  applySteps,
  contiguousPart,
  leadingPart,
  permuted,
  reshaped,
  shifted,
  sliced,
  weight,
} from '../../main/models/weights'
import { casesFolder } from '../support/cases'

const stack = weight('blk.0.ffn_up_exps.weight', 4, 48, 32)
const third = reshaped(sliced(stack, 0, 2, 3), 48, 32)

describe('a part of a tensor', () => {
  let checkpoint: Checkpoint
  let bytesRead = 0
  beforeAll(async () => {
    const opened = await openCheckpoint(path.join(casesFolder, 'gguf/mixtral.gguf'))
    checkpoint = {
      ...opened,
      tensors: opened.tensors,
      readFloat32: (name) => {
        bytesRead += opened.tensors.get(name)?.byteLength ?? 0
        return opened.readFloat32(name)
      },
      readRaw: (name, start = 0, end = 0) => {
        bytesRead += end - start
        return opened.readRaw(name, start, end)
      },
      close: () => opened.close(),
    }
  })
  afterAll(() => checkpoint.close())

  it('is read alone', async () => {
    bytesRead = 0
    const read = await readWeight(checkpoint, third)
    expect(bytesRead).toBe(4 * 48 * 32)
    expect(read).toEqual(applySteps(third, await checkpoint.readFloat32(stack.tensor)))
  })

  it('is read alone also where it is rearranged afterwards', async () => {
    const rearranged = shifted(sliced(permuted(third, 1, 0), 1, 1, 48, 2), 0.5)
    bytesRead = 0
    const read = await readWeight(checkpoint, rearranged)
    expect(bytesRead).toBe(4 * 48 * 32)
    expect(read).toEqual(applySteps(rearranged, await checkpoint.readFloat32(stack.tensor)))
  })

  it('is read with the whole tensor where nothing can be left out', async () => {
    const turned = sliced(permuted(weight('blk.0.ffn_gate_inp.weight', 4, 32), 1, 0), 0, 0, 3)
    expect((await readWeight(checkpoint, turned)).length).toBe(3 * 4)
  })

  it('is dequantised alone in a file of blocks', async () => {
    const quantised = await openCheckpoint(path.join(casesFolder, 'gguf/llama-q8_0.gguf'))
    try {
      const whole = weight('blk.0.attn_q.weight', 32, 32)
      const rows = sliced(whole, 0, 8, 16)
      expect(quantised.tensors.get(whole.tensor)?.storage).toBe('Q8_0')
      expect(await readWeight(quantised, rows)).toEqual(
        (await quantised.readFloat32(whole.tensor)).slice(8 * 32, 16 * 32),
      )
    } finally {
      await quantised.close()
    }
  })

  it('that is not there is named', async () => {
    await expect(readWeight(checkpoint, weight('blk.9.attn_q.weight', 2, 2))).rejects.toMatchObject({
      code: 'model.incomplete',
      field: 'blk.9.attn_q.weight',
    })
  })
})

describe('the contiguous part of a weight', () => {
  it('is what slices of leading axes leave', () => {
    expect(contiguousPart(sliced(third, 0, 10, 20))).toEqual({ offset: (2 * 48 + 10) * 32, length: 320 })
  })

  it('does not exist where a later axis is cut', () => {
    expect(contiguousPart(sliced(third, 1, 0, 16))).toBeNull()
  })

  it('is still found in front of what can not be had without a copy', () => {
    const { offset, length, rest } = leadingPart(permuted(third, 1, 0))
    expect({ offset, length, shape: rest.shape, stored: rest.stored }).toEqual({
      offset: 2 * 48 * 32,
      length: 48 * 32,
      shape: [32, 48],
      stored: [48, 32],
    })
  })
})
