/** Opening an ONNX file that somebody else exported: what is recognised in it, and the parts of an open model made of it. */
import path from 'node:path'
import { parseHook, siteMeaning } from '../../preload/hooks'
import type { HookPointInfo, ModelDescription, ModelSource, ParameterInfo } from '../../preload/model'
import type { OnnxReport } from '../../preload/onnx-report'
import { sizeOf } from '../../preload/tensor'
import { findOnnx, openOnnxModel } from '../models/formats/onnx/find'
import type { OnnxCheckpoint } from '../models/formats/onnx/checkpoint'
import type { Tokenizer } from '../models/tokenizer'
import { planCheckpoint, reportOf, type LoadedExport } from '../runtime'
import { bosNote, layerOf } from './describe-model'

/** What an ONNX file is, without compiling or computing anything; null where the path is of another kind of model. */
export async function inspectExport(place: string): Promise<OnnxReport | null> {
  if ((await findOnnx(place)) === null) return null
  const checkpoint = await openOnnxModel(place)
  try {
    return reportOf(planCheckpoint(checkpoint), checkpoint.config)
  } finally {
    await checkpoint.close()
  }
}

export interface DescribeExport {
  readonly source: ModelSource
  readonly place: string
  readonly checkpoint: OnnxCheckpoint
  readonly tokenizer: Tokenizer
  readonly loaded: LoadedExport
  readonly fingerprint: string
}

/** What the window is told of an open export. */
export function describeExport(input: DescribeExport): ModelDescription {
  const { source, place, checkpoint, tokenizer, loaded, fingerprint } = input
  const { stack, plan } = loaded
  const report = reportOf(plan, checkpoint.config)
  const parameters = [...checkpoint.tensors.values()].map(
    ({ name, shape, storage, byteLength }): ParameterInfo => ({
      name,
      layer: layerOf(name),
      shape: [...shape],
      storage,
      bytes: byteLength,
    }),
  )
  const unfound = report.missing.map(({ what, reason }) => `Not recognised: ${what} (${reason}).`)
  return {
    handle: `${fingerprint}@${loaded.provider}/${source.precision}`,
    source,
    fingerprint,
    name: path.basename(place).replace(/\.onnx$/, ''),
    family: 'onnx',
    format: 'onnx',
    precision: source.precision,
    provider: loaded.provider,
    providerNote: loaded.providerNote,
    layers: report.decoder?.layers ?? 0,
    dModel: report.decoder?.dModel ?? 0,
    heads: report.decoder?.heads ?? 0,
    kvHeads: report.decoder?.kvHeads ?? 0,
    dHead: report.decoder?.dHead ?? 0,
    dMlp: report.decoder?.dMlp ?? 0,
    vocab: report.vocab,
    contextLength: stack.contextLength,
    parameterCount: parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    traits: [
      { label: 'Exported by', value: report.producer || 'unknown' },
      { label: 'Operator sets', value: report.operatorSets },
      {
        label: 'Run',
        value: report.whole === null ? 'block by block' : `whole: ${report.whole}`,
      },
    ],
    hasChatTemplate: tokenizer.hasChatTemplate,
    tokenizerHash: tokenizer.tokenizerHash,
    templateHash: tokenizer.templateHash,
    bosNote: bosNote(tokenizer),
    hookPoints: plan.names.map((name): HookPointInfo => {
      const { dims, sizes } = stack.hook(name)
      const point = parseHook(name)
      const site = point?.site ?? 'hook_resid_pre'
      return {
        name,
        layer: point?.layer ?? null,
        site,
        dims: [...dims],
        sizes: [...sizes],
        meaning: siteMeaning[site],
      }
    }),
    parameters,
    warnings: [...checkpoint.warnings, ...unfound, ...tokenizer.warnings],
  }
}
