/**
 * The contract between the window (or the command line) and the engine: one map gives each call its input, output and
 * progress. Every message is validated where it enters; errors are always a `WireError`.
 */
import { z } from 'zod'
import { attributionCalls } from './attribution'
import { certificate, certificateProgress } from './certificate'
import { collectionCalls } from './collections'
import { datasetCalls } from './datasets'
import { wireError } from './errors'
import { extractionCalls } from './extraction'
import {
  libraryEntry,
  modelDescription,
  modelHandle,
  modelSource,
  providerReport,
  weightStatistics,
} from './model'
import {
  cachedModels,
  downloadedModel,
  downloadPlan,
  downloadProgress,
  hubModel,
  hubRequest,
  hubSearch,
} from './hub'
import { modelForecast } from './forecast'
import { jobCalls } from './jobs'
import { onnxReport } from './onnx-report'
import { contrastPair, preset } from './preset'
import { encodedPrompt, promptSpec, tokenInfo } from './prompt'
import {
  certificateSummary,
  finishReasons,
  generateInput,
  generateStep,
  intervention,
  provenance,
  runInput,
  sampling,
  tokenIds,
} from './run'
import { sweepCalls } from './sweep'
import { byteArray, floatTensor } from './tensor'
import {
  activationView,
  attentionComparison,
  attentionLayer,
  attentionOverview,
  comparison,
  evidence,
  lensCell,
  lensMap,
  nextTokens,
  steerResult,
  steerStep,
} from './views'

const nothing = z.object({})
const none = z.null()

/** What a view asks about: an open model and the token ids of a prompt. */
const subject = z.object({ model: modelHandle, tokens: tokenIds })

export const loadProgress = z.object({
  stage: z.enum(['reading', 'hashing', 'preparing weights', 'compiling', 'tokenizer', 'testing provider']),
  /** 0 to 1 over the whole loading. */
  fraction: z.number().min(0).max(1),
  detail: z.string(),
})
export type LoadProgress = z.infer<typeof loadProgress>

/** Blocks done of all, in a forward pass. */
const blockProgress = z.object({ done: z.number().int(), total: z.number().int() })

export const engineStatus = z.object({
  pid: z.number().int(),
  version: z.string(),
  onnxruntime: z.string(),
  /** Resident memory of the engine process, in bytes. */
  memory: z.number(),
  systemMemory: z.number(),
  providers: z.array(providerReport),
  models: z.array(modelHandle),
})
export type EngineStatus = z.infer<typeof engineStatus>

export const presetEntry = z.object({
  preset,
  /** Came with the app: can be used and copied, not deleted. */
  bundled: z.boolean(),
  /** sha256 of the preset file. */
  sha256: z.string(),
})
export type PresetEntry = z.infer<typeof presetEntry>

/** A file in the presets' folder that is none; it hides no other. */
export const brokenPreset = z.object({ file: z.string(), error: wireError })
export type BrokenPreset = z.infer<typeof brokenPreset>

export const exportFormats = ['npy', 'safetensors', 'csv'] as const
export const exportedFile = z.object({ name: z.string(), bytes: byteArray })

/** The calls. Add one here and the client, the dispatcher and the command line know its types. */
export const calls = {
  'engine.status': { input: nothing, output: engineStatus, progress: none },

  'library.list': { input: nothing, output: z.array(libraryEntry), progress: none },
  'library.forget': { input: z.object({ id: z.string() }), output: nothing, progress: none },

  /** What is recognised in an ONNX file that somebody else exported; nothing of it runs. Null for another kind of model. */
  'model.inspect': {
    input: z.object({ path: z.string().min(1).max(4096) }),
    output: onnxReport.nullable(),
    progress: none,
  },
  /** What opening a model will take of memory; nothing of it is loaded. Null for a graph that somebody else exported. */
  'model.forecast': { input: modelSource, output: modelForecast.nullable(), progress: none },
  'model.open': { input: modelSource, output: modelDescription, progress: loadProgress },
  'model.describe': { input: z.object({ model: modelHandle }), output: modelDescription, progress: none },
  'model.close': { input: z.object({ model: modelHandle }), output: nothing, progress: none },
  'model.weights': {
    input: z.object({ model: modelHandle, parameter: z.string() }),
    output: weightStatistics,
    progress: none,
  },

  /** What is known of a model's numbers, on all providers, newest first; `summary` is of this provider and precision. */
  'certificate.get': {
    input: z.object({ model: modelHandle }),
    output: z.object({
      certificates: z.array(certificate),
      summary: certificateSummary.nullable(),
      /** Stored certificates that could not be read. */
      warnings: z.array(z.string()),
    }),
    progress: none,
  },
  /** Checks a model against a reference (a folder or file), else against itself, and keeps the certificate. */
  'certificate.make': {
    input: z.object({ model: modelHandle, reference: z.string().min(1).max(4096).optional() }),
    output: certificate,
    progress: certificateProgress,
  },
  /** The Python program with which a person makes a reference for the model. */
  'certificate.script': {
    input: z.object({ model: modelHandle }),
    output: z.object({ name: z.string(), text: z.string() }),
    progress: none,
  },

  /** Models on a Hugging Face–compatible hub, and in the cache that its Python client shares. */
  'hub.search': { input: hubSearch, output: z.array(hubModel), progress: none },
  'hub.plan': { input: hubRequest, output: downloadPlan, progress: none },
  'hub.download': { input: downloadPlan, output: downloadedModel, progress: downloadProgress },
  'hub.cached': { input: nothing, output: cachedModels, progress: none },

  'prompt.encode': {
    input: z.object({ model: modelHandle, prompt: promptSpec }),
    output: encodedPrompt,
    progress: none,
  },
  'tokens.describe': {
    input: z.object({ model: modelHandle, ids: z.array(z.number().int()).max(100_000) }),
    output: z.array(tokenInfo),
    progress: none,
  },
  /** Token ids of short texts, each of which should be one token (answers, metric tokens). */
  'tokens.find': {
    input: z.object({ model: modelHandle, text: z.string().min(1).max(1000) }),
    output: z.array(tokenInfo),
    progress: none,
  },

  'run.execute': {
    input: runInput.extend({ model: modelHandle.optional() }),
    output: z.object({
      provenance,
      lengths: z.array(z.number().int()),
      captures: z.record(z.string(), floatTensor),
      logits: floatTensor.nullable(),
      residual: floatTensor.nullable(),
      metric: floatTensor.nullable(),
      gradients: z.record(z.string(), floatTensor),
      weightGradients: z.record(z.string(), floatTensor),
      /** Where each output came from: hook points, `logits:last`, `residual`, `metric`, `gradient:HOOK` … */
      sources: z.record(z.string(), z.enum(['memory', 'disk', 'computed'])).optional(),
    }),
    progress: blockProgress,
  },
  'generate.execute': {
    input: generateInput.extend({ model: modelHandle.optional() }),
    output: z.object({
      provenance,
      rows: z.array(
        z.object({ tokens: z.array(z.number().int()), text: z.string(), finish: z.enum(finishReasons) }),
      ),
    }),
    progress: generateStep,
  },

  'lens.map': { input: subject, output: lensMap, progress: blockProgress },
  'lens.cell': {
    input: subject.extend({
      point: z.number().int().nonnegative(),
      position: z.number().int().nonnegative(),
      count: z.number().int().min(1).max(100).default(10),
    }),
    output: lensCell,
    progress: blockProgress,
  },
  'attention.layer': {
    input: subject.extend({ layer: z.number().int().nonnegative() }),
    output: attentionLayer,
    progress: blockProgress,
  },
  'attention.overview': {
    input: subject.extend({ side: z.number().int().min(4).max(64).default(24) }),
    output: attentionOverview,
    progress: blockProgress,
  },
  'logits.next': {
    input: subject.extend({
      position: z.number().int().nonnegative(),
      count: z.number().int().min(1).max(1000).default(20),
    }),
    output: nextTokens,
    progress: blockProgress,
  },
  'activation.view': {
    input: subject.extend({ hook: z.string(), maxColumns: z.number().int().min(16).max(4096).default(512) }),
    output: activationView,
    progress: blockProgress,
  },
  'activation.export': {
    input: subject.extend({ hook: z.string(), format: z.enum(exportFormats) }),
    output: exportedFile.extend({ evidence }),
    progress: blockProgress,
  },

  'compare.prompts': {
    input: z.object({ model: modelHandle, left: tokenIds, right: tokenIds }),
    output: comparison,
    progress: blockProgress,
  },
  'compare.attention': {
    input: z.object({
      model: modelHandle,
      left: tokenIds,
      right: tokenIds,
      layer: z.number().int().nonnegative(),
    }),
    output: attentionComparison,
    progress: blockProgress,
  },

  ...attributionCalls,

  ...sweepCalls,

  ...jobCalls,
  ...datasetCalls,
  ...extractionCalls,
  ...collectionCalls,

  'preset.list': {
    input: nothing,
    output: z.object({ presets: z.array(presetEntry), broken: z.array(brokenPreset) }),
    progress: none,
  },
  /** Saves name, note, strength range, sites' positions and norm of a preset of the person's own. */
  'preset.save': { input: z.object({ preset }), output: presetEntry, progress: none },
  'preset.delete': { input: z.object({ id: z.string() }), output: nothing, progress: none },
  /** One file with the preset and its vectors, for another machine. */
  'preset.export': { input: z.object({ id: z.string() }), output: exportedFile, progress: none },
  'preset.import': {
    input: z.object({ bytes: byteArray.refine((b) => b.length <= 256 * 2 ** 20) }),
    output: presetEntry,
    progress: none,
  },

  /** A steering vector by mean difference of contrast pairs, saved as a new preset. */
  'steer.fromPairs': {
    input: z.object({
      model: modelHandle,
      hook: z.string(),
      pairs: z.array(contrastPair).min(1).max(10_000),
      position: z.enum(['last', 'mean']),
      name: z.string().min(1).max(200),
      author: z.string().max(200).default(''),
      note: z.string().max(20_000).default(''),
      bos: z.enum(['model', 'always', 'never']).default('model'),
      template: z.enum(['none', 'chat']).default('none'),
      positions: z.enum(['all', 'prompt', 'generated']).default('all'),
    }),
    output: z.object({
      entry: presetEntry,
      vectorNorm: z.number(),
      residualNorm: z.number(),
      /** Projections of each pair's two activations on the direction: how well it separates them. */
      positive: z.array(z.number()),
      negative: z.array(z.number()),
      /** Share of pairs whose positive side projects higher. */
      accuracy: z.number(),
    }),
    progress: z.object({ done: z.number().int(), total: z.number().int() }),
  },
  /** Baseline and steered continuations of one prompt with the same seed. */
  'steer.compare': {
    input: z.object({
      model: modelHandle,
      prompt: promptSpec,
      preset: z.string(),
      strength: z.number().min(-1e6).max(1e6),
      sampling: sampling.default(sampling.parse({})),
      maxTokens: z.number().int().min(1).max(4096).default(48),
      stop: z.array(z.string().min(1).max(1000)).max(16).default([]),
    }),
    output: steerResult,
    progress: steerStep,
  },
  /** The interventions and tensors that a preset stands for at a strength; what `steer.compare` runs. */
  'steer.interventions': {
    input: z.object({ model: modelHandle, preset: z.string(), strength: z.number() }),
    output: z.object({ interventions: z.array(intervention), tensors: z.record(z.string(), floatTensor) }),
    progress: none,
  },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>

export type Calls = typeof calls
export type CallName = keyof Calls
export type CallInput<N extends CallName> = z.input<Calls[N]['input']>
export type CallArguments<N extends CallName> = z.output<Calls[N]['input']>
export type CallOutput<N extends CallName> = z.output<Calls[N]['output']>
export type CallProgress<N extends CallName> = z.output<Calls[N]['progress']>

export const callNames = Object.keys(calls) as CallName[]

/** What goes from the client to the engine over the port. */
export const clientMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('call'),
    id: z.number().int().nonnegative(),
    call: z.string().max(100),
    input: z.unknown(),
  }),
  z.object({ type: z.literal('cancel'), id: z.number().int().nonnegative() }),
])
export type ClientMessage = z.infer<typeof clientMessage>

/** What comes back. `progress` and `output` are validated by the call's own schemas. */
export const engineMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), id: z.number().int(), value: z.unknown() }),
  z.object({ type: z.literal('result'), id: z.number().int(), output: z.unknown() }),
  z.object({ type: z.literal('failure'), id: z.number().int(), error: wireError }),
  z.object({ type: z.literal('status'), status: engineStatus }),
])
export type EngineMessage = z.infer<typeof engineMessage>
