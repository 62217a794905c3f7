/** GGUF metadata: what is refused, and the settings of rotary scaling and sliding layers that no whole file shows. */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSpec } from '../../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint, type GgufValue } from '../../../main/models/formats/checkpoint'
import type { TransformerSpec } from '../../../main/models/spec'
import { casesFolder } from '../../support/cases'

/** The spec of a GGUF case whose metadata, and tensors of factors, are changed. */
async function specOf(
  name: string,
  metadata: Record<string, GgufValue> = {},
  vectors: Record<string, number[]> = {},
  without: string[] = [],
): Promise<TransformerSpec> {
  const checkpoint = await openCheckpoint(path.join(casesFolder, 'gguf', `${name}.gguf`))
  try {
    const kept = [...checkpoint.metadata].filter(([key]) => !without.includes(key))
    const [any] = checkpoint.tensors.values()
    const added = Object.entries(vectors).map(
      ([tensor, values]) => [tensor, { ...any, name: tensor, shape: [values.length] }] as const,
    )
    const changed: Checkpoint = {
      ...checkpoint,
      metadata: new Map([...kept, ...Object.entries(metadata)]),
      tensors: new Map([...[...checkpoint.tensors].filter(([key]) => !without.includes(key)), ...added]),
      readFloat32: (tensor) =>
        tensor in vectors
          ? Promise.resolve(Float32Array.from(vectors[tensor]))
          : checkpoint.readFloat32(tensor),
    }
    return await readSpec(changed)
  } finally {
    await checkpoint.close()
  }
}

const float = (value: number): GgufValue => ({ type: 'float32', value })
const integer = (value: number): GgufValue => ({ type: 'uint32', value })
const text = (value: string): GgufValue => ({ type: 'string', value })

describe('GGUF metadata', () => {
  it('with a key of the architecture that is not understood is refused by name', async () => {
    await expect(specOf('llama', { 'llama.attention.wobble': float(1) })).rejects.toMatchObject({
      code: 'model.unsupported',
      field: 'llama.attention.wobble',
    })
  })

  it('without a size is refused by name', async () => {
    await expect(specOf('qwen3', {}, {}, ['qwen3.block_count'])).rejects.toMatchObject({
      code: 'model.incomplete',
      field: 'qwen3.block_count',
    })
  })

  it('of an architecture that is not known names it', async () => {
    await expect(specOf('llama', { 'general.architecture': text('rwkv7') })).rejects.toMatchObject({
      code: 'model.unknown-architecture',
      message: expect.stringContaining('"rwkv7"') as string,
    })
  })

  it('with values of another size than keys is refused', async () => {
    await expect(specOf('llama', { 'llama.attention.value_length': integer(4) })).rejects.toMatchObject({
      field: 'llama.attention.value_length',
    })
  })

  it('with more experts used than there are is refused', async () => {
    await expect(specOf('mixtral', { 'llama.expert_used_count': integer(5) })).rejects.toMatchObject({
      code: 'model.unsupported',
    })
  })
})

describe('rotary scaling in GGUF', () => {
  it('may be linear', async () => {
    const spec = await specOf('llama', {
      'llama.rope.scaling.type': text('linear'),
      'llama.rope.scaling.factor': float(4),
    })
    expect(spec.ropes[0].scaling).toEqual({ kind: 'linear', factor: 4 })
  })

  it('may be YaRN, whose cosines grow with the factor', async () => {
    const spec = await specOf('qwen2', {
      'qwen2.rope.scaling.type': text('yarn'),
      'qwen2.rope.scaling.factor': float(4),
      'qwen2.rope.scaling.original_context_length': integer(16),
    })
    expect(spec.ropes[0].scaling).toMatchObject({
      kind: 'yarn',
      originalLength: 16,
      attentionFactor: 0.1 * Math.log(4) + 1,
    })
  })

  it('may be LongRoPE, with its factors as tensors', async () => {
    const factors = { 'rope_factors_short.weight': [1, 1, 2, 2], 'rope_factors_long.weight': [2, 3, 4, 5] }
    const spec = await specOf('phi3', { 'phi3.rope.scaling.attn_factor': float(1.25) }, factors)
    expect(spec.ropes[0].scaling).toEqual({
      kind: 'longrope',
      shortFactor: [1, 1, 2, 2],
      longFactor: [2, 3, 4, 5],
      originalLength: 4096,
      attentionFactor: 1.25,
    })
  })

  it('with factors for another head size is refused', async () => {
    const factors = { 'rope_factors_short.weight': [1, 1], 'rope_factors_long.weight': [2, 3] }
    await expect(specOf('phi3', {}, factors)).rejects.toMatchObject({ field: 'rope_factors_short.weight' })
  })

  it('of another kind is refused', async () => {
    await expect(specOf('llama', { 'llama.rope.scaling.type': text('spiral') })).rejects.toMatchObject({
      field: 'llama.rope.scaling.type',
    })
  })
})

describe('sliding layers in GGUF', () => {
  const windows = (spec: TransformerSpec): (number | null)[] =>
    spec.blocks.map(({ attention }) => attention.window)

  it('of Gemma 3 come in groups as long as the pattern says', async () => {
    const spec = await specOf('gemma3_text', { 'gemma3.attention.sliding_window_pattern': integer(2) })
    expect(windows(spec)).toEqual([5, null, 5])
    expect(spec.blocks.map(({ attention }) => attention.rope)).toEqual([1, 0, 1])
  })

  it('of Gemma 3 are refused where the pattern has not one entry a layer', async () => {
    const pattern: GgufValue = { type: 'array', of: 'bool', value: [true] }
    await expect(
      specOf('gemma3_text', { 'gemma3.attention.sliding_window_pattern': pattern }),
    ).rejects.toMatchObject({
      field: 'gemma3.attention.sliding_window_pattern',
    })
  })

  it('of Gemma 2 are the even ones', async () => {
    expect(windows(await specOf('gemma2'))).toEqual([5, null, 5])
  })
})

describe('the sequential form', () => {
  it('of GPT-NeoX is told by its key', async () => {
    const spec = await specOf('gpt_neox', { 'gptneox.use_parallel_residual': { type: 'bool', value: false } })
    expect(spec.blocks[0].topology).toBe('sequential')
  })

  it('of StableLM has a norm before the MLP, which the parallel one lacks', async () => {
    expect((await specOf('stablelm')).blocks[0].topology).toBe('sequential')
    const parallel = await specOf('stablelm', {}, {}, ['blk.0.ffn_norm.weight'])
    expect(parallel.blocks[0]).toMatchObject({ topology: 'parallel', mlpNorm: null })
  })
})
