/** Opens an ONNX export on the CPU, and the case that it must reproduce, without the engine around them. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { readBareCase, type Case } from '../../main/analysis/parity/case'
import type { VerifySubject } from '../../main/analysis/parity/check'
import { openOnnx } from '../../main/models/formats/onnx/checkpoint'
import { loadExported, planCheckpoint, type LoadedExport } from '../../main/runtime/exported/load'
import { generate } from '../../main/runtime/generate'
import { executeRun } from '../../main/runtime/request'

const cases = path.join(import.meta.dirname, '../reference/cases')

export const exporters = ['dynamo', 'optimum', 'optimum-past'] as const
export const checkpoints = ['gpt2', 'llama', 'qwen2'] as const
export const exportNames = checkpoints.flatMap((checkpoint) =>
  exporters.map((exporter) => `${checkpoint}-${exporter}`),
)

export const exportFile = (name: string): string => path.join(cases, 'onnx-exports', name, 'model.onnx')

/** The folder of the checkpoint that an export was made from. */
export const checkpointOf = (name: string): string => path.join(cases, 'architectures', name.split('-')[0])

export interface ExportedModel extends VerifySubject, LoadedExport {
  /** Names of the tensors that the file stores. */
  readonly parameters: readonly string[]
  close(): Promise<void>
}

/** @param file an ONNX file */
export async function openExportedModel(file: string): Promise<ExportedModel> {
  const checkpoint = await openOnnx(file, undefined)
  const loaded = await loadExported(checkpoint, planCheckpoint(checkpoint), 'cpu')
  return {
    ...loaded,
    parameters: [...checkpoint.model.graph.initialisers.keys()],
    fingerprint: createHash('sha256').update(file).digest('hex'),
    run: (input) => executeRun(loaded.stack, input),
    generate: (input) => generate(loaded.stack, input),
    close: async () => {
      await loaded.stack.release()
      await checkpoint.close()
    },
  }
}

/** The reference of an export. Its description is in `export.json`. */
export async function openExportCase(name: string): Promise<Case> {
  const folder = path.join(cases, 'onnx-exports', name)
  const { steer_block, patch, ablate } = JSON.parse(
    readFileSync(path.join(folder, 'export.json'), 'utf8'),
  ) as Case['reference']
  const tensors = await readBareCase(path.join(folder, 'reference.safetensors'))
  return { ...tensors, reference: { name, steer_block, patch, ablate } }
}
