/** What tests of running small exports share: opening models from bytes, and running requests on them. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach } from 'vitest'
import { runRequest, type RunRequestInput, type RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { useScratch } from '../models/scratch'
import { openExportedModel, type ExportedModel } from './exported-model'
import { modelBytes, node, value } from './onnx-model'

export const rows = [
  [1, 5, 9, 2, 21, 7],
  [3, 3, 8, 0],
]

export interface Exports {
  /** Opens a model from its bytes; it is closed after the test. */
  open: (bytes: Uint8Array) => Promise<ExportedModel>
  /** The file of the model that was opened last. */
  file: () => string
  /** Has a model closed after the test. */
  closing: (model: ExportedModel) => ExportedModel
}

export function useExports(): Exports {
  const scratch = useScratch()
  const opened: ExportedModel[] = []
  afterEach(async () => {
    for (const model of opened.splice(0)) await model.close()
  })
  const file = (): string => path.join(scratch.folder, 'model.onnx')
  const closing = (model: ExportedModel): ExportedModel => {
    opened.push(model)
    return model
  }
  return {
    file,
    closing,
    open: async (bytes) => {
      await writeFile(file(), bytes)
      return closing(await openExportedModel(file()))
    },
  }
}

export const run = (
  model: ExportedModel,
  request: Partial<RunRequestInput> = {},
  tensors: Record<string, Tensor> = {},
): Promise<RunResult> =>
  model.run({
    request: runRequest.parse({ model: model.fingerprint, rows: [rows[0]], logits: 'all', ...request }),
    tensors,
  })

export const logitsOf = ({ logits }: RunResult): Tensor => {
  if (logits === null) throw new Error('the run gave no logits')
  return logits
}

const floats = (name: string, dims: number[], wave: (x: number) => number) => ({
  name,
  dims: dims.map(BigInt),
  dataType: 1,
  floatData: Array.from({ length: dims[0] * dims[1] }, (_, i) => wave(i)),
})

/** Tokens to logits without a residual stream: e, t = tanh(e), logits. */
export const flat = (dims: (string | number)[], half = false): Uint8Array =>
  modelBytes({
    node: half
      ? [
          node('Gather', ['table', 'ids'], ['wide']),
          node('Cast', ['wide'], ['e'], { to: 10 }),
          node('Tanh', ['e'], ['t']),
          node('Cast', ['head'], ['narrow'], { to: 10 }),
          node('MatMul', ['t', 'narrow'], ['logits']),
        ]
      : [
          node('Gather', ['table', 'ids'], ['e']),
          node('Tanh', ['e'], ['t']),
          node('MatMul', ['t', 'head'], ['logits']),
        ],
    initializer: [floats('table', [9, 4], Math.sin), floats('head', [4, 9], Math.cos)],
    input: [value('ids', dims, 7)],
    output: [value('logits', [...dims, 9], half ? 10 : 1)],
  })
