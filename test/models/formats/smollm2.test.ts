/** A real GGUF model, where there is one: PATCHBAY_MODELS names the folder that holds it. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fingerprint } from '../../../main/models/fingerprint'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import type { NonFiniteTensor } from '../../../main/models/formats/finite'
import { ggufNumber, ggufStrings } from '../../../main/models/formats/gguf'

const file = path.join(process.env.PATCHBAY_MODELS ?? '', 'SmolLM2-135M-Instruct.Q4_1.gguf')
const present = process.env.PATCHBAY_MODELS !== undefined && existsSync(file)
if (!present) console.warn('skipped: SmolLM2 as GGUF (set PATCHBAY_MODELS to the folder that holds the file)')

describe.skipIf(!present)('SmolLM2-135M in Q4_1', () => {
  it('opens with its metadata, and every weight is a finite number', async () => {
    const checkpoint = await openCheckpoint(file)
    expect(checkpoint.warnings).toEqual([])
    expect(ggufNumber(checkpoint.metadata, 'llama.block_count')).toBe(30)
    expect(ggufStrings(checkpoint.metadata, 'tokenizer.ggml.tokens')).toHaveLength(49152)
    expect(checkpoint.tensors.get('token_embd.weight')).toMatchObject({
      storage: 'Q8_0',
      shape: [49152, 576],
    })
    const count = [...checkpoint.tensors.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    )
    expect(count).toBe(134_515_008)
    const found: NonFiniteTensor[] = []
    await fingerprint(checkpoint, { onNonFinite: (some) => found.push(...some) })
    expect(found).toEqual([])
    await checkpoint.close()
  })
})
