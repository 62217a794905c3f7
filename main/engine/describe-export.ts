/** What the window is told of an open export. */
import path from 'node:path'
import { parseHook, siteMeaning } from '../../preload/hooks'
import type { HookPointInfo, ModelDescription, ModelSource } from '../../preload/model'
import { sizeOf } from '../../preload/tensor'
import { isJsonObject } from '../models/formats/strict-json'
import type { OnnxCheckpoint } from '../models/formats/onnx/checkpoint'
import type { Tokenizer } from '../models/tokenizer'
import { reportOf, type LoadedExport } from '../runtime'
import { bosNote, handleOf, nameOf, parametersOf } from './describe-model'

export interface DescribeExport {
  readonly source: ModelSource
  /** The file or folder that was opened. */
  readonly place: string
  readonly checkpoint: OnnxCheckpoint
  readonly tokenizer: Tokenizer
  readonly loaded: LoadedExport
  readonly fingerprint: string
}

export function describeExport(input: DescribeExport): ModelDescription {
  const { source, place, checkpoint, tokenizer, loaded, fingerprint } = input
  const { stack, plan, provider, providerNote } = loaded
  const report = reportOf(plan, checkpoint.config)
  const parameters = parametersOf(checkpoint)
  const { precision } = source
  return {
    handle: handleOf(fingerprint, provider, precision),
    source,
    fingerprint,
    name: nameOf(source, namedBy(place)),
    family: familyOf(checkpoint.config),
    format: 'onnx',
    precision,
    provider,
    providerNote,
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
      { label: 'Run', value: report.whole === null ? 'block by block' : `whole: ${report.whole}` },
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
    warnings: [...checkpoint.warnings, ...tokenizer.warnings],
  }
}

/** What the configuration calls its family; the graph itself does not say. */
function familyOf(config: unknown): string {
  const said = isJsonObject(config) ? config['model_type'] : undefined
  return typeof said === 'string' && /^[\w-]{1,40}$/.test(said) ? said : 'exported graph'
}

/** A file of the usual name is known by its folder. */
function namedBy(place: string): string {
  if (path.basename(place) !== 'model.onnx') return place
  const folder = path.dirname(place)
  return path.basename(folder) === 'onnx' ? path.dirname(folder) : folder
}
