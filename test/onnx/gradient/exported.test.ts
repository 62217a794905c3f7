/** Gradients through whole exports by three exporters, against PyTorch's float64 gradients of the same checkpoints. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Tensor as OrtTensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCase, relativeError, type Case } from '../../../main/analysis/parity/case'
import type { Site } from '../../../main/onnx/exported/surgery'
import { asItIs } from '../../../main/onnx/exported/view'
import { writeModel } from '../../../main/onnx/exported/write'
import { differentiateExported } from '../../../main/onnx/gradient/exported'
import { Session } from '../../../main/runtime/session'
import {
  checkpointOf,
  exportFile,
  exportNames,
  openExportedModel,
  type ExportedModel,
} from '../../support/exported-model'

/** float32 against float64. */
const TOLERANCE = 5e-4

interface Description {
  readonly tokA: number
  readonly tokB: number
}

describe.each(exportNames)('%s', (name) => {
  let model: ExportedModel
  let reference: Case
  const { tokA, tokB } = JSON.parse(
    readFileSync(path.join(path.dirname(exportFile(name)), 'export.json'), 'utf8'),
  ) as Description

  beforeAll(async () => {
    model = await openExportedModel(exportFile(name))
    reference = await readCase(checkpointOf(name))
  })

  afterAll(async () => {
    await model.close()
    await reference.close()
  })

  it('gives the gradients by residual stream and z of every layer', async () => {
    const { decoder, view, logits } = model.plan.recognition
    const hooks = reference.names.flatMap((tensor) => (tensor.startsWith('grad.') ? [tensor.slice(5)] : []))
    const site = (hook: string): Site => {
      const found = decoder?.sites.get(hook)
      if (found === undefined) throw new Error(`${hook} was not recognised`)
      const rank = hook.endsWith('hook_z') ? 4 : 3
      return { value: found.value, view: found.view, type: 'float32', rank }
    }
    const graph = differentiateExported(
      view.model,
      [{ site: { value: logits, view: asItIs, type: 'float32', rank: 3 }, input: 'dlogits' }],
      hooks.map((hook) => ({ site: site(hook), output: `grad.${hook}` })),
    )
    const ids = await reference.tokens('input_ids')
    const [batch, pos] = [ids.length, ids[0].length]
    const vocab = model.plan.recognition.vocab
    const cotangent = new Float32Array(batch * pos * vocab)
    for (let row = 0; row < batch; row++) {
      cotangent[(row * pos + pos - 1) * vocab + tokA] += 1
      cotangent[(row * pos + pos - 1) * vocab + tokB] -= 1
    }
    const whole = (values: number[]): OrtTensor =>
      new OrtTensor('int64', BigInt64Array.from(values, BigInt), [batch, pos])
    const feeds: Record<string, OrtTensor> = {
      dlogits: new OrtTensor('float32', cotangent, [batch, pos, vocab]),
    }
    for (const { name: input, shape } of graph.inputs) {
      if (input === 'input_ids') feeds[input] = whole(ids.flat())
      else if (input === 'attention_mask') feeds[input] = whole(ids.flat().map(() => 1))
      else if (input === 'position_ids') feeds[input] = whole(ids.flatMap((row) => row.map((_, i) => i)))
      else if (input.startsWith('past_key_values'))
        feeds[input] = new OrtTensor('float32', new Float32Array(0), [
          batch,
          Number(shape?.[1]),
          0,
          Number(shape?.[3]),
        ])
    }
    const folder = path.dirname(exportFile(name))
    const options = { provider: 'cpu', folder, prepack: false } as const
    const session = await Session.load(writeModel(view.model, graph), name, options)
    const out = await session.run(
      feeds,
      hooks.map((hook) => `grad.${hook}`),
    )
    await session.release()
    expect(hooks.length).toBeGreaterThan(3)
    for (const hook of hooks) {
      const want = await reference.tensor(`grad.${hook}`)
      const { dims, data } = out[`grad.${hook}`]
      const error = relativeError({ shape: [...dims], data: data as Float32Array }, want)
      expect([hook, error < TOLERANCE ? 'close' : error]).toEqual([hook, 'close'])
    }
  })
})
