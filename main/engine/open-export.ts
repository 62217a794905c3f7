/** Opening an ONNX file that somebody else exported: what is recognised in it, and the parts of an open model made of it. */
import { PatchbayError } from '../../preload/errors'
import type { ModelSource } from '../../preload/model'
import type { OnnxReport } from '../../preload/onnx-report'
import { exportOpinions } from '../analysis/parity/second-opinions'
import { findOnnx, openOnnxModel } from '../models/formats/onnx/find'
import { loadExported, planCheckpoint, reportOf } from '../runtime'
import { describeExport } from './describe-export'
import { loadTokenizer } from './load-tokenizer'
import type { Prepared } from './prepared'

/**
 * What an ONNX file is, without compiling or computing anything; null where the path is of another kind of model.
 * @throws PatchbayError what is wrong with the file, `model.unsupported` where it is no language model
 */
export async function inspectExport(place: string): Promise<OnnxReport | null> {
  const file = await findOnnx(place)
  if (file === null) return null
  const checkpoint = await openOnnxModel(file)
  try {
    return reportOf(planCheckpoint(checkpoint), checkpoint.config)
  } finally {
    await checkpoint.close()
  }
}

/**
 * @param file the .onnx file
 * @throws PatchbayError as `inspectExport`, and for a precision or memory budget, which a finished graph can not be given
 */
export async function prepareExport(
  file: string,
  { precision, memoryBudget }: Pick<ModelSource, 'precision' | 'memoryBudget'>,
): Promise<Prepared> {
  if (precision !== 'float32')
    throw refusal(
      `can not be opened as ${precision}`,
      'Open it in float32, which leaves it as it is',
      'precision',
    )
  if (memoryBudget !== null)
    throw refusal('can not be held to a memory budget', 'Open it without one', 'memoryBudget')
  const checkpoint = await openOnnxModel(file)
  try {
    const plan = planCheckpoint(checkpoint)
    return {
      checkpoint,
      load: async ({ source, place, fingerprint, undo, signal, report }) => {
        const loaded = await loadExported(checkpoint, plan, source.provider, { signal, onProgress: report })
        undo.push(() => loaded.stack.release())
        report('tokenizer', 0)
        const tokenizer = await loadTokenizer(checkpoint, file, loaded.stack.vocab)
        undo.push(() => tokenizer.close())
        return {
          description: describeExport({ source, place, checkpoint, tokenizer, loaded, fingerprint }),
          tokenizer,
          stack: loaded.stack,
          head: loaded.readout,
          opinions: exportOpinions(loaded),
          whole: plan.whole,
          own: null,
          insides: null,
        }
      },
    }
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

const refusal = (what: string, next: string, field: string): PatchbayError =>
  new PatchbayError(
    'model.unsupported',
    `An ONNX file runs with the numbers and operators that it was exported with; it ${what}.`,
    { next: `${next}, or use the checkpoint that it was made from (safetensors or GGUF).`, field },
  )
