/** From an opened ONNX file to something that runs: recognised, cut, compiled on a provider. */
import { PatchbayError } from '../../../preload/errors'
import type { Provider, ProviderChoice } from '../../../preload/run'
import { recognise } from '../../models/exported/recognise'
import type { OnnxCheckpoint } from '../../models/formats/onnx/checkpoint'
import { compileOn, type CompileProgress } from '../compile'
import { planExported, type ExportedPlan } from './plan'
import { ExportedReadout } from './readout'
import { ExportedStack } from './stack'

/** Where neither the graph nor a configuration says how many positions there may be. */
const UNSTATED_CONTEXT = 32_768

export interface LoadedExport {
  readonly stack: ExportedStack
  readonly readout: ExportedReadout
  readonly plan: ExportedPlan
  readonly provider: Provider
  readonly providerNote: string | null
}

/**
 * What a graph is and how it will be run; nothing is compiled or computed by this.
 * @throws PatchbayError `model.unsupported` for a graph that is no language model
 */
export function planCheckpoint({ model, files }: OnnxCheckpoint): ExportedPlan {
  const recognition = recognise(model)
  if (!('refused' in recognition)) return planExported(recognition)
  throw new PatchbayError(
    'model.unsupported',
    `This graph can not be run as a language model: ${recognition.refused}.`,
    {
      next: 'Open the export of a causal language model: token ids in, logits out.',
      file: files[0],
    },
  )
}

/** Positions that a model may be given, and what says so. */
export function contextOf(
  { decoder }: ExportedPlan,
  config: unknown,
): { length: number; source: 'table' | 'config' | 'unstated' } {
  const rows = decoder?.contextLength ?? null
  if (rows !== null) return { length: rows, source: 'table' }
  const entries = typeof config === 'object' && config !== null ? Object.entries(config) : []
  const stated = ['max_position_embeddings', 'n_positions', 'n_ctx', 'max_seq_len']
    .map((key) => entries.find(([name]) => name === key)?.[1] as unknown)
    .find((value) => typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 2 ** 31)
  if (typeof stated === 'number') return { length: stated, source: 'config' }
  return { length: UNSTATED_CONTEXT, source: 'unstated' }
}

/**
 * Makes an exported graph ready to run.
 * @param plan what `planCheckpoint` says of it
 * @throws PatchbayError `model.unsupported`, `run.failed`, `memory.exhausted`, `run.cancelled`
 */
export async function loadExported(
  { folder, config }: OnnxCheckpoint,
  plan: ExportedPlan,
  choice: ProviderChoice,
  progress: CompileProgress = {},
): Promise<LoadedExport> {
  const contextLength = contextOf(plan, config).length
  const { stack, note } = await compileOn(
    choice,
    (provider) => new ExportedStack({ plan, provider, folder, contextLength }),
    progress,
  )
  return { stack, readout: new ExportedReadout(stack), plan, provider: stack.provider, providerNote: note }
}
