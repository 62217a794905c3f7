/** What the window is told of an open model. */
import path from 'node:path'
import { hookDims, hookName, siteMeaning } from '../../preload/hooks'
import type {
  HookPointInfo,
  ModelDescription,
  ModelHandle,
  ModelSource,
  ParameterInfo,
} from '../../preload/model'
import type { Precision, Provider } from '../../preload/run'
import { sizeOf } from '../../preload/tensor'
import type { Checkpoint } from '../models/formats/checkpoint'
import { hookPointsOf, hookSizes } from '../models/hook-points'
import type { TransformerSpec } from '../models/spec'
import type { Tokenizer } from '../models/tokenizer'
import { traitsOf } from '../models/traits'
import type { LoadedModel } from '../runtime'

export interface DescribeInput {
  source: ModelSource
  /** The file or folder that was opened. */
  place: string
  checkpoint: Checkpoint
  spec: TransformerSpec
  tokenizer: Tokenizer
  loaded: LoadedModel
  fingerprint: string
}

export function describeModel(input: DescribeInput): ModelDescription {
  const { source, place, checkpoint, spec, tokenizer, loaded, fingerprint } = input
  const [{ attention, mlp }] = spec.blocks
  const parameters = parametersOf(checkpoint)
  return {
    handle: handleOf(fingerprint, loaded.provider, source.precision, source.memoryBudget),
    source,
    fingerprint,
    name: nameOf(source, place),
    family: spec.family,
    format: checkpoint.format,
    precision: source.precision,
    provider: loaded.provider,
    providerNote: loaded.providerNote,
    layers: spec.blocks.length,
    dModel: spec.dModel,
    heads: attention.heads,
    kvHeads: attention.kvHeads,
    dHead: attention.headDim,
    dMlp: mlp.width,
    vocab: spec.vocab,
    contextLength: spec.contextLength,
    parameterCount: parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    traits: traitsOf(spec),
    hasChatTemplate: tokenizer.hasChatTemplate,
    tokenizerHash: tokenizer.tokenizerHash,
    templateHash: tokenizer.templateHash,
    bosNote: bosNote(tokenizer),
    hookPoints: hookPointsOf(spec).map((point): HookPointInfo => ({
      name: hookName(point),
      layer: point.layer,
      site: point.site,
      dims: [...hookDims(point)],
      sizes: hookSizes(spec, point),
      meaning: siteMeaning[point.site],
    })),
    parameters,
    warnings: [...checkpoint.warnings, ...tokenizer.warnings],
  }
}

export const handleOf = (
  fingerprint: string,
  provider: Provider,
  precision: Precision,
  memoryBudget: number | null = null,
): ModelHandle => `${fingerprint}@${provider}/${precision}${memoryBudget === null ? '' : `/${memoryBudget}`}`

export const parametersOf = ({ tensors }: Pick<Checkpoint, 'tensors'>): ParameterInfo[] =>
  [...tensors.values()].map(({ name, shape, storage, byteLength }) => ({
    name,
    layer: layerOf(name),
    shape: [...shape],
    storage,
    bytes: byteLength,
  }))

/** As the person knows it: the name of the file or folder (a GGUF's own `general.name` is often a training run's). */
export function nameOf({ location }: ModelSource, place: string): string {
  if (location.kind === 'embedded') return 'storyworld'
  // A snapshot folder of the hub's cache is named by its commit; the repository stands two folders above.
  const hub = /models--([^/\\]+)[/\\]snapshots[/\\][0-9a-f]{40}$/.exec(place)
  return hub === null
    ? path.basename(place).replace(/\.(safetensors|gguf|onnx)$/, '')
    : hub[1].replace('--', '/')
}

/** The block that a parameter belongs to, by the spellings of Hugging Face and GGUF. */
function layerOf(name: string): number | null {
  const match = /(?:^|\.)(?:layers|h|blocks|blk)\.(\d+)\./.exec(name)
  return match === null ? null : Number(match[1])
}

export function bosNote({ bosPolicy, bosId }: Tokenizer): string {
  if (bosId === null) return `No token begins a sequence: ${bosPolicy.source}.`
  return bosPolicy.addBos
    ? `Prompts begin with token ${bosId}, because ${bosPolicy.source}.`
    : `Prompts get no token ${bosId} in front, because ${bosPolicy.source}.`
}
