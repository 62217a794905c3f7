/** Facts about models in few words. */
import type { ModelDescription, ProviderReport } from '../../preload/model'
import type { Precision, Provider, ProviderChoice } from '../../preload/run'
import type { MemoryForecast } from '../../preload/forecast'
import { formatBytes, formatNumber } from '../charts/numbers'
import type { Choice } from '../stores/choice-memory'

/** 1,050,000 → "1.05 M" */
export function formatParameters(count: number): string {
  const units: [number, string][] = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ]
  const unit = units.find(([size]) => count >= size)
  return unit === undefined ? String(count) : `${formatNumber(count / unit[0])} ${unit[1]}`
}

export const providerTitles: Record<ProviderChoice, string> = {
  auto: 'Automatic',
  cpu: 'CPU',
  webgpu: 'WebGPU',
  cuda: 'CUDA',
  directml: 'DirectML',
  coreml: 'Core ML',
}
export const providerTitle = (provider: Provider): string => providerTitles[provider]

export const precisionWords: Record<Precision, { label: string; hint: string }> = {
  float32: { label: 'float32', hint: 'Every weight is unpacked: the most exact, and the most memory.' },
  quantised: {
    label: 'quantised',
    hint: 'Matrices stay in the file’s blocks: far less memory and faster; equal up to rounding.',
  },
}

/** Whether a type of stored numbers (Q4_1, IQ2_XS, MXFP4, …) is one in blocks, as GGUF files have them. */
export const isQuantisedStorage = (storage: string): boolean => /^(?:I?Q|TQ|MXFP)\d/.test(storage)

/** What the self-test of a provider found. */
export function providerVerdict(report: ProviderReport): string {
  if (report.provider === 'cpu') return 'the reference that the others are tested against'
  if (!report.available) return report.reason ?? 'not available on this machine'
  if (report.selfTestError === null) return report.reason ?? 'not tested yet'
  const error = `worst error ${formatNumber(report.selfTestError, 2)} against the CPU`
  return report.reason === null ? `tested: ${error}` : `${report.reason} (${error})`
}

/** "4 layers · 4 heads"; in an exported graph none may have been recognised. */
export const modelSizes = ({ layers, heads }: ModelDescription): string =>
  layers === 0 ? 'no blocks recognised' : `${layers} layers · ${heads} heads`

/** "Llama · 1.05 M parameters · 4 layers × 4 heads · d_model 128" */
export const modelFacts = (model: ModelDescription): string =>
  [
    model.family,
    `${formatParameters(model.parameterCount)} parameters`,
    ...(model.layers === 0
      ? ['no blocks recognised']
      : [`${model.layers} layers × ${model.heads} heads`, `d_model ${model.dModel}`]),
    `context ${model.contextLength}`,
  ].join(' · ')

/** "in quantised", "in float32 within 400 MB" */
export const choiceLabel = ({ precision, memoryBudget }: Choice): string =>
  memoryBudget === null ? `in ${precision}` : `in ${precision} within ${formatBytes(memoryBudget)}`

/** Budgets worth choosing, smallest first: from the least that the model can be run in, in quarters of the way to all. */
export const budgetSteps = ({ least, whole }: MemoryForecast): number[] =>
  [0, 0.25, 0.5, 0.75].map((part) => roundUp(least + part * (whole - least))).filter((bytes) => bytes < whole)

const STEP = 2 ** 24
const roundUp = (bytes: number): number => Math.ceil(bytes / STEP) * STEP
