/**
 * A run is data. `RunRequest` says everything that a forward pass depends on: which model, which tokens, what to
 * capture, what to change, which logits. The window, the command line, a preset and a queue worker all say this to the
 * same engine; its canonical JSON (see canonical.ts) with the hashes of its tensors is the cache key.
 */
import { z } from 'zod'
import { backward } from './metric'
import { floatTensor } from './tensor'

/** quantised: matrices stay in the blocks that a GGUF file has them in; what is computed with them is float32. */
export const precisions = ['float32', 'quantised'] as const
export const providers = ['cpu', 'webgpu', 'cuda', 'directml', 'coreml'] as const
export const providerChoices = ['auto', ...providers] as const
export type Provider = (typeof providers)[number]
export type ProviderChoice = (typeof providerChoices)[number]
export type Precision = (typeof precisions)[number]

const index = z.number().int().nonnegative()

/** Sequence positions of a row. `prompt` and `generated` are told apart in generation; in a plain run all is prompt. */
export const positionSet = z.union([z.enum(['all', 'prompt', 'generated', 'last']), z.array(index).min(1)])
export type PositionSet = z.infer<typeof positionSet>

/** Names a tensor of the request (see `RunInput.tensors`). */
const tensorName = z.string().min(1).max(200)

/**
 * What happens to the selected part x of an activation.
 * - add: x + scale · value. replace: value. scale: factor · x (0 is zero ablation).
 * - direction (residual hook points only): with d̂ the unit direction, x + amount · (target − x·d̂) d̂; target 0 removes it.
 * Values broadcast (numpy rules) to the selected part, [positions, …] without the batch axis.
 */
export const operation = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('add'), value: tensorName, scale: z.number().default(1) }),
  z.object({ kind: z.literal('replace'), value: tensorName }),
  z.object({ kind: z.literal('scale'), factor: z.number() }),
  z.object({
    kind: z.literal('direction'),
    direction: tensorName,
    target: z.number().default(0),
    /** How much of the way to the target: 1 reaches it. */
    amount: z.number().default(1),
  }),
])
export type Operation = z.infer<typeof operation>

/** Name of a hook point, or `value:NAME` of an exported graph, whose own names may be long. */
const hookText = z.string().max(1000)

/** One change at one hook point. Several apply in the order of the list. */
export const intervention = z.object({
  hook: hookText,
  rows: z.union([z.literal('all'), z.array(index).min(1)]).default('all'),
  positions: positionSet.default('all'),
  /** Heads, at hook points with a head axis (for keys and values: kv heads). */
  heads: z.array(index).min(1).optional(),
  /** Indices on the last axis: neurons, dimensions, key positions of a pattern. */
  units: z.array(index).min(1).optional(),
  operation,
})
export type Intervention = z.infer<typeof intervention>
export type InterventionInput = z.input<typeof intervention>

/** Token ids of one row. */
export const tokenIds = z.array(index.max(2 ** 31 - 1)).min(1)

export const runRequest = z.object({
  version: z.literal(1).default(1),
  /** Fingerprint of the model (sha256 in hex), as the library shows it. */
  model: z.string().regex(/^[0-9a-f]{64}$/),
  /** The batch; rows may differ in length (they are padded on the right, which changes no number). */
  rows: z.array(tokenIds).min(1).max(4096),
  /** Hook points to return. */
  captures: z.array(hookText).default([]),
  interventions: z.array(intervention).default([]),
  /** Which positions' logits to compute and return. */
  logits: z.enum(['none', 'last', 'all']).default('last'),
  /** Start at this block from the residual stream in tensor `residual` [batch, pos, d_model] instead of the embedding. */
  start: z.object({ layer: index, residual: tensorName }).optional(),
  /** Stop before this block (its input is then the last residual stream); no logits. */
  stopLayer: index.optional(),
  /** Gradients of a metric; none unless given. */
  backward: backward.optional(),
})
export type RunRequest = z.infer<typeof runRequest>
export type RunRequestInput = z.input<typeof runRequest>

/** A request together with the tensors that it names. */
export const runInput = z.object({
  request: runRequest,
  tensors: z.record(tensorName, floatTensor).default({}),
})
export type RunInput = z.infer<typeof runInput>

/** A parity certificate (see certificate.ts) in one line. */
export const certificateSummary = z.object({
  source: z.enum(['reference', 'self-check']),
  passed: z.boolean(),
  /** Worst relative error of all groups; null where something could not be compared at all. */
  worst: z.number().nonnegative().nullable(),
  date: z.string(),
})
export type CertificateSummary = z.infer<typeof certificateSummary>

/** What numbers were computed on and how; goes with every result and export. */
export const provenance = z.object({
  fingerprint: z.string(),
  modelName: z.string(),
  precision: z.enum(precisions),
  provider: z.enum(providers),
  /** sha256 of the canonical request with its tensors' hashes. */
  requestHash: z.string(),
  patchbay: z.string(),
  /** What is known of the numbers of this model on this provider and precision; null where they were never checked. */
  certificate: certificateSummary.nullable().optional(),
})
export type Provenance = z.infer<typeof provenance>

/** Results of a run. Padded places of rows shorter than the longest hold undefined numbers; `lengths` says where. */
export interface RunResult {
  lengths: number[]
  /** hook name → captured activation, shaped as preload/hooks.ts says */
  captures: Record<string, { shape: readonly number[]; data: Float32Array }>
  /** [batch, pos, d_vocab] for all, [batch, 1, d_vocab] for last, null for none */
  logits: { shape: readonly number[]; data: Float32Array } | null
  /** the residual stream where the run stopped, when `stopLayer` was given */
  residual: { shape: readonly number[]; data: Float32Array } | null
  /** [batch]: the metric of each row, where the request has one (see metric.ts) */
  metric: { shape: readonly number[]; data: Float32Array } | null
  /** hook name → d metric / d activation, shaped as the activation; 0 in padded places */
  gradients: Record<string, { shape: readonly number[]; data: Float32Array }>
  /** parameter name → d (Σ over rows of the metric) / d parameter, shaped as in the checkpoint */
  weightGradients: Record<string, { shape: readonly number[]; data: Float32Array }>
}

/** What a run without a backward pass returns for it. */
export const noGradients = (): Pick<RunResult, 'metric' | 'gradients' | 'weightGradients'> => ({
  metric: null,
  gradients: {},
  weightGradients: {},
})

export const sampling = z.object({
  /** 0 is greedy. */
  temperature: z.number().min(0).max(100).default(0),
  topK: z.number().int().min(0).default(0),
  topP: z.number().min(0).max(1).default(1),
  minP: z.number().min(0).max(1).default(0),
  repetitionPenalty: z.number().min(0.1).max(10).default(1),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(0),
})
export type Sampling = z.infer<typeof sampling>

export const generateRequest = z.object({
  version: z.literal(1).default(1),
  model: z.string().regex(/^[0-9a-f]{64}$/),
  /** One sequence a row. A row that follows another takes that row's token at each step instead of its own. */
  rows: z
    .array(z.object({ tokens: tokenIds, follow: index.optional() }))
    .min(1)
    .max(64),
  interventions: z.array(intervention).default([]),
  sampling: sampling.default(sampling.parse({})),
  maxTokens: z.number().int().min(1).max(100_000).default(64),
  /** Ends a row when its generated text holds one of these. */
  stop: z.array(z.string().min(1).max(1000)).max(16).default([]),
  /** Whether the model's end tokens end a row. */
  stopAtEos: z.boolean().default(true),
  /** Pairs of rows [p, q] whose KL(p ‖ q) of next-token distributions is reported at each step, in nats. */
  klPairs: z.array(z.tuple([index, index])).default([]),
})
export type GenerateRequest = z.infer<typeof generateRequest>
export type GenerateRequestInput = z.input<typeof generateRequest>

export const generateInput = z.object({
  request: generateRequest,
  tensors: z.record(tensorName, floatTensor).default({}),
})
export type GenerateInput = z.infer<typeof generateInput>

/** One decoding step, for all rows that are still alive (`token` is −1 for rows that ended). */
export const generateStep = z.object({
  step: z.number().int(),
  tokens: z.array(z.number().int()),
  /** log-probability (nats) of each row's token under that row's own distribution at temperature 1 */
  logProbs: z.array(z.number()),
  kl: z.array(z.number()),
})
export type GenerateStep = z.infer<typeof generateStep>

export const finishReasons = ['length', 'eos', 'stop', 'context', 'followed'] as const
export type FinishReason = (typeof finishReasons)[number]
