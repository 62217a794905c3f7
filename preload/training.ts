/**
 * Training as jobs: what a probe, a dictionary and an optimised steering vector are made from, and what comes out. These are
 * the inputs and results of the job kinds `probe`, `dictionary` and `steering` (see jobs.ts). Losses in nats where they are
 * cross-entropies; positions and layers count from 0.
 */
import { z } from 'zod'
import { datasetSpec, rowFailure } from './datasets'
import { modelSource } from './model'
import { bosPolicies } from './prompt'

const index = z.number().int().nonnegative()
const count = z.number().int().positive()
const text = z.string().min(1).max(100_000)
const hook = z.string().min(1).max(200)

/** How texts become token ids. */
const prompting = {
  bos: z.enum(bosPolicies).default('model'),
  template: z.enum(['none', 'chat']).default('none'),
}

export const labelledText = z.object({ text, label: z.union([z.literal(0), z.literal(1)]) })
export type LabelledText = z.infer<typeof labelledText>

export const probeMethods = ['logistic', 'ridge', 'mean-difference'] as const

export const probeInput = z.object({
  /** Opened where it is not open. */
  model: modelSource,
  /** 1 has the property, 0 has not. */
  examples: z.array(labelledText).max(100_000).default([]),
  /** Instead of them: rows whose label column has two values, of which `positive` is 1. Its prompts say all, `bos` too. */
  dataset: z
    .object({ rows: datasetSpec, positive: z.string().min(1).max(1000) })
    .nullable()
    .default(null),
  /** The site in each block: `hook_resid_post`, `attn.hook_z`, … */
  site: hook.default('hook_resid_post'),
  /** All layers unless given. */
  layers: z.array(index).min(1).max(10_000).nullable().default(null),
  /** Which activation stands for a text: its last token's, or the mean over its tokens (without a leading special one). */
  position: z.enum(['last', 'mean']).default('last'),
  method: z.enum(probeMethods).default('logistic'),
  /** C of logistic regression (scikit-learn's), 1/λ of ridge regression: larger is a weaker penalty. */
  inversePenalty: z.number().positive().default(1),
  standardise: z.boolean().default(false),
  /** Share of each class that is held out. */
  heldOut: z.number().gt(0).lt(1).default(0.25),
  /** Probes on shuffled labels, for each layer. */
  controls: index.max(1000).default(3),
  seed: index.default(0),
  ...prompting,
})
export type ProbeInput = z.input<typeof probeInput>
export type ProbeJob = z.output<typeof probeInput>

const share = z.number().min(0).max(1)

/** Reliability of the predicted probabilities, in bins of equal width. */
const calibration = z.object({
  bins: z.array(
    z.object({
      from: share,
      to: share,
      count: index,
      /** Mean predicted probability of label 1, and the share that has it; null in an empty bin. */
      predicted: share.nullable(),
      observed: share.nullable(),
    }),
  ),
  /** Σ count / rows · |predicted − observed| */
  expectedError: z.number(),
  /** Nats. */
  logLoss: z.number(),
  brier: z.number(),
})
const score = z.object({
  rows: count,
  accuracy: share,
  auc: share,
  /** Of logistic regression only: the others give no probabilities. */
  calibration: calibration.nullable(),
})
export const probeLayer = z.object({
  layer: index,
  hook: z.string(),
  training: score,
  /** On held-out rows, the same at every layer. */
  test: score,
  control: z
    .object({
      /** Of each probe on shuffled labels, on held-out rows. */
      accuracies: z.array(share),
      aucs: z.array(share),
      /** (1 + controls at least as accurate) / (1 + controls). */
      p: share,
    })
    .nullable(),
})
export type ProbeLayer = z.infer<typeof probeLayer>

export const probeResult = z.object({
  kind: z.literal('probe'),
  modelName: z.string(),
  fingerprint: z.string(),
  layers: z.array(probeLayer).min(1),
  /** Rows of a data set that could not be used: how many, and the first of them. */
  failed: index.default(0),
  failures: z.array(rowFailure).default([]),
  /** safetensors: `HOOK.direction` [width] and `HOOK.intercept` [1] of each layer, on activations as they are. */
  file: z.string(),
})
export type ProbeResult = z.infer<typeof probeResult>

export const dictionaryKinds = ['standard', 'topk', 'jumprelu', 'gated'] as const

export const dictionaryInput = z.object({
  model: modelSource,
  hook,
  /** Of a transcoder: where what is reconstructed is read. Null for a sparse autoencoder. */
  outputHook: hook.nullable().default(null),
  texts: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('texts'), texts: z.array(text).max(100_000) }),
    /** A data set in any format of datasets.ts: its column `text`, else the one that looks most like a prompt. */
    z.object({ kind: z.literal('file'), path: z.string().min(1).max(4096) }),
  ]),
  /** Longer texts are cut into pieces of this many tokens. */
  context: count.min(2).max(4096).default(128),
  /** Positions before it are left out: first positions have activations like no others. */
  firstPosition: index.max(1024).default(1),
  activation: z.enum(dictionaryKinds).default('topk'),
  /** Features. */
  dSae: count.max(2 ** 24),
  /** topk: features that are active in each row. */
  k: count.default(32),
  /** λ of the others: weight of the penalty on active features. */
  sparsity: z.number().nonnegative().default(1),
  steps: count.max(10_000_000),
  /** Activations of a batch. */
  rows: count.max(2 ** 20).default(1024),
  /** Peak learning rate. */
  rate: z.number().positive().default(3e-4),
  /** A feature that was not active for this many rows is dead. */
  deadAfter: count.default(100_000),
  checkpointEvery: count.default(200),
  seed: index.default(0),
  /** Of a text that is longer than the model's context, each stretch begins so. */
  ...prompting,
})
export type DictionaryInput = z.input<typeof dictionaryInput>
export type DictionaryJob = z.output<typeof dictionaryInput>

export const dictionaryResult = z.object({
  kind: z.literal('dictionary'),
  modelName: z.string(),
  fingerprint: z.string(),
  hook: z.string(),
  outputHook: z.string().nullable(),
  /** A SAELens folder: `cfg.json` and `sae_weights.safetensors`. */
  folder: z.string(),
  /** On held-out texts. */
  statistics: z.object({
    /** Activations that it was judged on. */
    rows: count,
    /** Mean number of active features a row. */
    l0: z.number(),
    /** Null where the activations do not vary. */
    explainedVariance: z.number().nullable(),
    /** Mean ‖y − ŷ‖². */
    squaredError: z.number(),
    /** Share of features that were active in no row. */
    dead: share,
  }),
  /** Mean cross-entropy of next tokens, in nats: of the model as it is, with the reconstruction, with zeros in its place. */
  loss: z.object({
    original: z.number(),
    spliced: z.number(),
    zeroed: z.number(),
    /** (zeroed − spliced) / (zeroed − original); null where zeros change nothing. */
    recovered: z.number().nullable(),
    tokens: count,
  }),
})
export type DictionaryResult = z.infer<typeof dictionaryResult>

export const steeringTarget = z.object({
  prompt: text,
  /** A continuation that should become likelier; as it stands, with its leading space where it has one. */
  target: text,
  /** One that should become less likely; null for none. */
  avoided: text.nullable().default(null),
})
export type SteeringTarget = z.infer<typeof steeringTarget>

export const steeringInput = z.object({
  model: modelSource,
  /** On the residual stream. */
  hook,
  examples: z.array(steeringTarget).max(10_000),
  /** Largest L2 norm of the vector; null for half the mean norm of the residual stream there, at the prompts' last tokens. */
  maxNorm: z.number().positive().nullable().default(null),
  /** Where the vector is added: at all positions, those of the prompt, or those behind it. */
  positions: z.enum(['all', 'prompt', 'generated']).default('all'),
  steps: count.max(100_000).default(50),
  /** Continuations that are run together for one update. */
  batch: count.max(4096).default(16),
  seed: index.default(0),
  /** Of the preset that is made. */
  name: z.string().min(1).max(200),
  author: z.string().max(200).default(''),
  note: z.string().max(20_000).default(''),
  ...prompting,
})
export type SteeringInput = z.input<typeof steeringInput>
export type SteeringJob = z.output<typeof steeringInput>

/** Means over continuations of the geometric mean of their tokens' probabilities; null where there are none of that aim. */
const effect = z.object({ raised: share.nullable(), lowered: share.nullable(), loss: z.number() })

export const steeringResult = z.object({
  kind: z.literal('steering'),
  modelName: z.string(),
  fingerprint: z.string(),
  hook: z.string(),
  /** Id of the preset, as the Steer view lists it. */
  preset: z.string(),
  /** L2 norms: of the vector, its bound, and the mean of the residual stream at the prompts' last tokens. */
  norm: z.number(),
  maxNorm: z.number(),
  residualNorm: z.number(),
  before: effect,
  after: effect,
})
export type SteeringResult = z.infer<typeof steeringResult>

/** Numbers of the progress of `train.storyworld` that are a family's accuracy begin with this. */
export const accuracyMark = 'accuracy: '

export const storyworldResult = z.object({
  kind: z.literal('storyworld'),
  steps: index,
  /** Folder of the trained model; null in records of versions that did not tell. */
  model: z.string().min(1).nullable().default(null),
  /** Share of each family's questions that it answers rightly, at the end. */
  accuracy: z.record(z.string(), share).default({}),
})
export type StoryworldResult = z.infer<typeof storyworldResult>

/** What a job of one of these kinds gives. */
export const trainingResult = z.discriminatedUnion('kind', [
  probeResult,
  dictionaryResult,
  steeringResult,
  storyworldResult,
])
export type TrainingResult = z.infer<typeof trainingResult>
