/** Facts about models in few words. */
import type { ModelDescription, ProviderReport } from '../../preload/model'
import type { Precision, Provider, ProviderChoice } from '../../preload/run'
import { formatNumber } from '../charts/numbers'

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

/** "Llama · 1.05 M parameters · 4 layers × 4 heads · d_model 128" */
export const modelFacts = (model: ModelDescription): string =>
  [
    model.family,
    `${formatParameters(model.parameterCount)} parameters`,
    `${model.layers} layers × ${model.heads} heads`,
    `d_model ${model.dModel}`,
    `context ${model.contextLength}`,
  ].join(' · ')
