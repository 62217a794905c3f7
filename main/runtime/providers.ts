/**
 * Which execution providers this machine has and whether they compute the CPU's numbers. Each is tested once, on first
 * use, with a small block; one that is absent or wrong is not used, and the reason is kept for the person.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { listSupportedBackends } from 'onnxruntime-node'
import { asPatchbayError } from '../../preload/errors'
import type { ProviderReport } from '../../preload/model'
import { providers, type Provider, type ProviderChoice } from '../../preload/run'
import { allFused, type Lowering } from './graph/context'
import { multiplicationFeeds, multiplicationGraph, selfTestFeeds, selfTestGraph } from './self-test'
import { floatData, providerNames, Session } from './session'

/** Worst relative error that a provider may have in the self-test. Accelerators sum in other orders, some in TF32. */
const TOLERANCE = 1e-3

/** Accelerators in the order in which `auto` tries them. */
const AUTOMATIC: readonly Provider[] = ['cuda', 'directml', 'coreml', 'webgpu']

const tests = new Map<Provider, Promise<ProviderReport>>()
const finished = new Map<Provider, ProviderReport>()

export interface ChosenProvider {
  readonly provider: Provider
  /** Why another one than the chosen computes; null where the choice was followed. */
  readonly note: string | null
  readonly lowering: Lowering
}

/** Providers with what is known of them so far; none is tested by this. */
export function providerReports(): ProviderReport[] {
  return providers.map((provider) => finished.get(provider) ?? untested(provider))
}

/** The provider that a choice means on this machine: itself, or the CPU with the reason. */
export async function chooseProvider(choice: ProviderChoice): Promise<ChosenProvider> {
  if (choice === 'cpu') return cpu(null)
  if (choice === 'auto') {
    for (const provider of AUTOMATIC) {
      if (!untested(provider).available || isSoftware(provider)) continue
      const report = await testProvider(provider)
      if (report.reason === null && (await isFaster(provider)))
        return { provider, note: null, lowering: allFused }
    }
    return cpu(null)
  }
  const report = await testProvider(choice)
  if (report.reason === null) return { provider: choice, note: null, lowering: allFused }
  return cpu(`${choice} is not used: ${report.reason}`)
}

/** Tests a provider against the CPU, once a process. `reason` says why it can not be used, or is null. */
export function testProvider(provider: Provider): Promise<ProviderReport> {
  const known = tests.get(provider)
  if (known !== undefined) return known
  const test = runTest(provider).then((report) => {
    finished.set(provider, report)
    return report
  })
  tests.set(provider, test)
  return test
}

async function runTest(provider: Provider): Promise<ProviderReport> {
  const report = untested(provider)
  if (!report.available) return report
  try {
    const want = await compute('cpu')
    const got = provider === 'cpu' ? want : await compute(provider)
    const error = relativeError(got, want)
    const good = error <= TOLERANCE
    const reason = good
      ? null
      : `its numbers are off by ${error.toExponential(1)} in the self-test (allowed ${TOLERANCE}).`
    return { provider, available: true, selfTestError: error, reason }
  } catch (error) {
    const reason = `it could not be started (${lastClause(asPatchbayError(error).message)})`
    return { provider, available: false, selfTestError: null, reason }
  }
}

/** A graphics driver that computes on the CPU is for tests: worth no trial. */
const isSoftware = (provider: Provider): boolean =>
  provider === 'webgpu' && /swiftshader|lvp/i.test(process.env.VK_ICD_FILENAMES ?? '')

/** Whether a provider multiplies matrices faster than the CPU. */
async function isFaster(provider: Provider): Promise<boolean> {
  return (await multiplicationTime(provider)) < (await multiplicationTime('cpu'))
}

async function multiplicationTime(provider: Provider): Promise<number> {
  const session = await Session.create(multiplicationGraph(), { provider, prepack: true })
  try {
    const feeds = multiplicationFeeds()
    await session.run(feeds, ['y'])
    const start = performance.now()
    for (let i = 0; i < 3; i++) await session.run(feeds, ['y'])
    return performance.now() - start
  } finally {
    await session.release()
  }
}

async function compute(provider: Provider): Promise<Float32Array> {
  const session = await Session.create(selfTestGraph(), { provider, prepack: false })
  try {
    return floatData((await session.run(selfTestFeeds(), ['resid_out'])).resid_out)
  } finally {
    await session.release()
  }
}

/** What ONNX Runtime's messages say after file names and function signatures. */
const lastClause = (message: string): string => message.split(/: |\. /).at(-1) ?? message

/** max|a − b| / max|b|; infinite where a number is none. */
function relativeError(a: Float32Array, b: Float32Array): number {
  let difference = 0
  let largest = 0
  for (let i = 0; i < b.length; i++) {
    if (!Number.isFinite(a[i])) return Infinity
    difference = Math.max(difference, Math.abs(a[i] - b[i]))
    largest = Math.max(largest, Math.abs(b[i]))
  }
  return difference / largest
}

function untested(provider: Provider): ProviderReport {
  const available = isInstalled(provider)
  const reason = available
    ? null
    : `ONNX Runtime has no ${provider} here (${process.platform} ${process.arch}).`
  return { provider, available, selfTestError: null, reason }
}

/** Whether the build has the provider and, where it comes as a library of its own, that library is there. */
function isInstalled(provider: Provider): boolean {
  const backend = listSupportedBackends().find(({ name }) => name === providerNames[provider])
  if (backend === undefined) return false
  return backend.bundled || provider !== 'cuda' || cudaLibraries().some((file) => existsSync(file))
}

/** onnxruntime-node fetches CUDA's libraries when it is installed, if it is let. */
function cudaLibraries(): string[] {
  const folder = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
  const bin = path.join(folder, 'bin', 'napi-v6', process.platform, process.arch)
  return ['libonnxruntime_providers_cuda.so', 'onnxruntime_providers_cuda.dll'].map((name) =>
    path.join(bin, name),
  )
}

const cpu = (note: string | null): ChosenProvider => ({ provider: 'cpu', note, lowering: allFused })
