/**
 * What analysis and steering need of an open model, and nothing more: the engine's model implements it, tests use a small
 * one written out by hand. Whether a run comes from a session or from the cache is not visible here.
 */
import type { TokenInfo } from '../../preload/prompt'
import type {
  CertificateSummary,
  FinishReason,
  GenerateInput,
  GenerateStep,
  Precision,
  Provider,
  RunInput,
  RunResult,
} from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { RunOptions } from '../cache/memory'
import type { Readout, ReadoutOptions } from '../runtime/readout'

export type { RunOptions } from '../cache/memory'
export type { Readout, ReadoutOptions } from '../runtime/readout'

export interface ModelFacts {
  /** sha256 in hex of the weights and configuration, as the library shows it. */
  fingerprint: string
  name: string
  family: string
  precision: Precision
  provider: Provider
  layers: number
  dModel: number
  heads: number
  kvHeads: number
  dHead: number
  vocab: number
  contextLength: number
  /** sha256 in hex. */
  tokenizerHash: string
  /** sha256 in hex, null where the model has no chat template. */
  templateHash: string | null
  /** Canonical names of the hook points that this model has. */
  hooks: ReadonlySet<string>
  /** Version of Patchbay, for provenance. */
  patchbay: string
}

export interface GenerateOptions {
  signal?: AbortSignal
  onStep?: (step: GenerateStep) => void
}

export interface GenerateResult {
  rows: { tokens: number[]; text: string; finish: FinishReason }[]
}

export interface AnalysisModel {
  readonly facts: ModelFacts
  /** What is known of this model's numbers on this provider and precision; null (or none) where they were never checked. */
  readonly certificate?: CertificateSummary | null
  /** Why it is run in one piece, so that nothing can be read out early; null (or none) for a stack of blocks. */
  readonly whole?: string | null
  run(input: RunInput, options?: RunOptions): Promise<RunResult>
  generate(input: GenerateInput, options?: GenerateOptions): Promise<GenerateResult>
  /** Final norm and unembedding of residual-stream rows [n, d_model], reduced where it is computed. */
  readout(residuals: Tensor, options: ReadoutOptions): Promise<Readout>
  /** KL(p ‖ q) in nats of the next-token distributions that two lists of rows [n, d_model] read out to: [n]. */
  divergence(p: Tensor, q: Tensor, options?: { signal?: AbortSignal }): Promise<Float32Array>
  /** Synchronous look-up; ids outside the vocabulary throw `input.invalid`. */
  tokens(ids: readonly number[]): TokenInfo[]
}
