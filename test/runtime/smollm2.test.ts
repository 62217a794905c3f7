/**
 * A real model, quantised, against float64 PyTorch. It needs SmolLM2-135M-Instruct.Q4_1.gguf in the folder that the
 * environment variable PATCHBAY_MODELS names.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import { SafetensorsFile } from '../../main/models/formats/safetensors'
import { argmax } from '../../main/runtime/distribution'
import { generate } from '../../main/runtime/generate'
import { loadModel } from '../../main/runtime/load'
import { executeRun } from '../../main/runtime/request'
import type { BlockStack } from '../../main/runtime/stack'
import { residualPoints } from '../../preload/hooks'
import { generateRequest, runRequest, type Precision } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'

const model = path.join(process.env.PATCHBAY_MODELS ?? '', 'SmolLM2-135M-Instruct.Q4_1.gguf')
const isHere = process.env.PATCHBAY_MODELS !== undefined && existsSync(model)
const fingerprint = 'f'.repeat(64)
const TOLERANCE = 1e-4

const ways: { precision: Precision; memoryBudget: number | null }[] = [
  { precision: 'float32', memoryBudget: null },
  { precision: 'quantised', memoryBudget: null },
  { precision: 'float32', memoryBudget: 400e6 },
]

describe.skipIf(!isHere).each(ways)(
  `SmolLM2 from GGUF in $precision within $memoryBudget bytes${isHere ? '' : ' (skipped: PATCHBAY_MODELS names no folder with the file)'}`,
  ({ precision, memoryBudget }) => {
    let stack: BlockStack
    let reference: SafetensorsFile
    let cacheDir: string
    let checkpoint: Checkpoint

    beforeAll(async () => {
      cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-smollm2-'))
      checkpoint = await openCheckpoint(model)
      const spec = await readSpec(checkpoint)
      const loaded = await loadModel({
        checkpoint,
        spec,
        fingerprint,
        provider: 'cpu',
        precision,
        memoryBudget,
        cacheDir,
      })
      stack = loaded.stack
      reference = await SafetensorsFile.open(
        path.join(import.meta.dirname, '../reference/cases/smollm2/reference.safetensors'),
      )
    })
    afterAll(async () => {
      await stack.release()
      await checkpoint.close()
      await reference.close()
      rmSync(cacheDir, { recursive: true, force: true })
    })

    const integers = async (name: string): Promise<number[]> =>
      Array.from(await reference.readInt64(name), Number)
    const tensor = async (name: string): Promise<Tensor> => ({
      shape: reference.tensors.get(name)?.shape ?? [],
      data: await reference.readFloat32(name),
    })

    // Block by block every token takes its time: one prompt shows it.
    it.each(memoryBudget === null ? ['ioi', 'code', 'chat'] : ['ioi'])(
      'gives logits, residual stream, lens and greedy tokens of "%s"',
      async (prompt) => {
        const tokens = await integers(`${prompt}.input_ids`)
        const points = residualPoints(stack.spec.blocks.length)
        const { logits, captures } = await executeRun(stack, {
          request: runRequest.parse({ model: fingerprint, rows: [tokens], captures: points, logits: 'last' }),
          tensors: {},
        })
        const want = await tensor(`${prompt}.logits_last`)
        expect(relativeError(logits ?? want, want)).toBeLessThan(TOLERANCE)
        expect(logits && ranked(logits.data)).toEqual(ranked(want.data))

        const width = stack.spec.dModel
        const norms = points.flatMap((point) =>
          tokens.map((_, i) => Math.hypot(...captures[point].data.subarray(i * width, (i + 1) * width))),
        )
        const wantNorms = await tensor(`${prompt}.resid_norms`)
        expect(
          relativeError({ shape: wantNorms.shape, data: Float32Array.from(norms) }, wantNorms),
        ).toBeLessThan(TOLERANCE)

        const last = points.map((point) => captures[point].data.subarray((tokens.length - 1) * width))
        const rows = {
          shape: [last.length, width],
          data: Float32Array.from(last.flatMap((row) => Array.from(row))),
        }
        expect(relativeError(rows, await tensor(`${prompt}.resid_last`))).toBeLessThan(TOLERANCE)
        const lens = (await stack.unembed(rows)).data
        const { vocab } = stack.spec
        const top = last.map((_, i) => argmax(lens.subarray(i * vocab, (i + 1) * vocab)))
        expect(top).toEqual(await integers(`${prompt}.logit_lens_top1`))

        const greedy = await integers(`${prompt}.greedy_ids`)
        const [row] = await generate(stack, {
          request: generateRequest.parse({
            model: fingerprint,
            rows: [{ tokens }],
            maxTokens: greedy.length,
            stopAtEos: false,
          }),
          tensors: {},
        })
        expect(row.tokens).toEqual(greedy)
      },
    )
  },
)

/** The ten most probable tokens, in order. */
const ranked = (logits: Float32Array): number[] =>
  Array.from(logits.keys())
    .sort((a, b) => logits[b] - logits[a])
    .slice(0, 10)
