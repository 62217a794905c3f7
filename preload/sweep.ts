/**
 * Sweeps: the exact effect of patching one place after another, streamed while it is computed. A sweep names its sites by
 * index: row-major in the grid, or the place in the list. Token ids everywhere; positions count from 0 in the prompt that
 * is run (the base): the corrupt one where denoising, the clean one where noising.
 */
import { z } from 'zod'
import { directions, metricEnds, patchPlace } from './attribution'
import type { BlockSite } from './hooks'
import { modelHandle } from './model'
import { runRequest, tokenIds } from './run'
import { floatTensor, intArray } from './tensor'
import { alignedPair, evidence } from './views'

const index = z.number().int().nonnegative()
const seed = index.max(2 ** 32 - 1).default(0)
const tensorName = z.string().min(1).max(200)
const position = z.union([z.literal('last'), index]).default('last')
const manyRows = z.array(tokenIds).min(1).max(4096)

/**
 * One number of the next-token distribution behind a position, logits as the model gives them out (soft-cap included):
 * - logit-difference: mean logit of `positive` − mean logit of `negative` (0 where that is empty)
 * - log-probability, in nats; probability; rank (0 is the top, the number of tokens with a greater logit)
 * - kl, in nats: `target-model` KL(t ‖ m), `model-target` KL(m ‖ t), m of the run and t of the clean or the corrupt prompt
 * - linear: Σ weights[i] · x(tokens[i]), x being logits, probabilities or log-probabilities
 */
export const sweepMetric = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('logit-difference'),
    positive: z.array(index).min(1).max(1000),
    negative: z.array(index).max(1000).default([]),
    position,
  }),
  z.object({ kind: z.literal('log-probability'), token: index, position }),
  z.object({ kind: z.literal('probability'), token: index, position }),
  z.object({ kind: z.literal('rank'), token: index, position }),
  z.object({
    kind: z.literal('kl'),
    target: z.enum(['clean', 'corrupt']).default('clean'),
    direction: z.enum(['target-model', 'model-target']).default('target-model'),
    position,
  }),
  z.object({
    kind: z.literal('linear'),
    of: z.enum(['logits', 'probabilities', 'log-probabilities']).default('logits'),
    tokens: z.array(index).min(1).max(1000),
    weights: z.array(z.number()).min(1).max(1000),
    position,
  }),
])
export type SweepMetric = z.infer<typeof sweepMetric>
export type SweepMetricInput = z.input<typeof sweepMetric>
const sweepMetrics = z.array(sweepMetric).min(1).max(16)

/** Clean and corrupt prompt. Of different length they need an alignment (left: clean, right: corrupt). */
export const sweepPair = z.object({
  clean: tokenIds,
  corrupt: tokenIds,
  /** Gaussian noise on the embeddings (hook_embed) of the corrupt prompt, which may then be the clean one (Meng et al. 2022). */
  noise: z.object({ positions: z.array(index).min(1), std: z.number().positive(), seed }).optional(),
  alignment: z.union([z.literal('auto'), z.array(alignedPair)]).optional(),
  /** Instead of the sweep's own, one for each of them: answers differ from pair to pair. */
  metrics: sweepMetrics.optional(),
})
export type SweepPair = z.infer<typeof sweepPair>

/**
 * What is put in the place of the base's activation:
 * - prompt: the other prompt's activation, at the aligned position
 * - zero
 * - mean: over all positions of all rows
 * - resample: of one of the rows, drawn for each pair, at the same position; rows at least as long as the base
 * - noise: the base's own plus Gaussian noise
 * - tensor: by hook name a tensor of the request that broadcasts to the hook point without its batch axis
 */
export const sweepSource = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('prompt') }),
  z.object({ kind: z.literal('zero') }),
  z.object({ kind: z.literal('mean'), rows: manyRows }),
  z.object({ kind: z.literal('resample'), rows: manyRows, seed }),
  z.object({ kind: z.literal('noise'), std: z.number().positive(), seed }),
  z.object({ kind: z.literal('tensor'), tensors: z.record(z.string().max(1000), tensorName) }),
])
export type SweepSource = z.infer<typeof sweepSource>

/** Kinds of components, each with its place in a block. */
export const componentSites = {
  resid_pre: 'hook_resid_pre',
  resid_mid: 'hook_resid_mid',
  resid_post: 'hook_resid_post',
  attn_out: 'hook_attn_out',
  mlp_out: 'hook_mlp_out',
  z: 'attn.hook_z',
  q: 'attn.hook_q',
  k: 'attn.hook_k',
  v: 'attn.hook_v',
  pattern: 'attn.hook_pattern',
  neurons: 'mlp.hook_post',
} as const satisfies Record<string, BlockSite>
export type SweepComponent = keyof typeof componentSites
export const sweepComponents = Object.keys(componentSites) as SweepComponent[]

export const sweepAxes = ['head', 'position', 'unit'] as const
export type SweepAxis = (typeof sweepAxes)[number]

/**
 * A grid of sites: layers, and then `by` head, position and unit, in this order. An axis that is not in `by` is patched as a
 * whole: layers × positions is by ['position'], layers × heads by ['head'], heads × positions of layer 3 is layers [3] by
 * ['head', 'position']. All of an axis unless listed. For k and v heads are kv heads, for patterns positions are queries.
 */
export const sweepGrid = z.object({
  kind: z.literal('grid'),
  component: z.enum(sweepComponents),
  by: z.array(z.enum(sweepAxes)).max(3).default(['position']),
  layers: z.array(index).min(1).optional(),
  heads: z.array(index).min(1).optional(),
  positions: z.array(index).min(1).optional(),
  units: z.array(index).min(1).optional(),
})
/**
 * Features of a dictionary (a SAELens folder), patched where it reads, a transcoder's where it writes. The base's activation x
 * becomes x + (f(source) − f(base)) · the feature's row of the decoder, in x's own scale: what the dictionary does not
 * reconstruct stays. With `zero` as source f(source) is 0, whatever zeros encode to; there is no `mean`.
 */
export const sweepFeatures = z.object({
  kind: z.literal('features'),
  dictionary: z.string().min(1).max(4096),
  /** One site for each position, or ([]) all positions at once. */
  by: z.array(z.literal('position')).max(1).default(['position']),
  features: z.array(index).min(1).max(20_000).optional(),
  /** Unless listed: so many features, largest sum over positions and pairs first. Features whose sum is 0 are none of them. */
  top: z.number().int().min(1).max(20_000).default(64),
  /** What is summed, |f(source) − f(base)| or f(source) + f(base). */
  most: z.enum(['different', 'active']).default('different'),
  positions: z.array(index).min(1).optional(),
})
export type SweepFeatures = z.infer<typeof sweepFeatures>
export const sweepTarget = z.discriminatedUnion('kind', [
  sweepGrid,
  sweepFeatures,
  z.object({ kind: z.literal('sites'), sites: z.array(patchPlace).min(1).max(200_000) }),
])
export type SweepTarget = z.infer<typeof sweepTarget>

/** What a run without a sweep to the end had found, or an earlier view of it: these sites are not computed again. */
export const knownSites = z.object({ sites: intArray, raw: floatTensor }) // raw [site, metric]
export type KnownSites = z.infer<typeof knownSites>

const pairs = z.array(sweepPair).min(1).max(256)
const tensors = z.record(tensorName, floatTensor).default({})
/** Sites in the order in which they are wanted, largest estimate first; those that are not listed follow. */
const order = z.array(index).optional()

/** A sweep over sites, each patched alone. Values are means over the pairs. */
export const sweepRequest = z.object({
  pairs,
  direction: z.enum(directions).default('denoising'),
  source: sweepSource.default({ kind: 'prompt' }),
  target: sweepTarget,
  metrics: sweepMetrics,
})
export type SweepRequest = z.infer<typeof sweepRequest>
export type SweepRequestInput = z.input<typeof sweepRequest>
const ofModel = { model: modelHandle, tensors }
export const sweepInput = sweepRequest.extend({ ...ofModel, order, known: knownSites.optional() })

const paths = {
  receivers: z.array(patchPlace).min(1).max(4096),
  /** What keeps the base's value on the way: heads and MLPs, or heads alone (Wang et al. 2022). */
  frozen: z.enum(['heads-and-mlps', 'heads']).default('heads-and-mlps'),
}
/**
 * Path patching (Goldowsky-Dill et al. 2023): each sender alone (target) writes what the source has there; what lies between
 * stays as in the base run; the receivers compute their value anew from that, and all else follows from them.
 */
export const pathRequest = sweepRequest.extend(paths)
export type PathRequest = z.infer<typeof pathRequest>
export type PathRequestInput = z.input<typeof pathRequest>
export const pathInput = pathRequest.extend({ ...ofModel, order, known: knownSites.optional() })

/**
 * Keeps a set of components and replaces all others at once (in the manner of causal scrubbing, Chan et al. 2022). Noising
 * by default: the clean prompt is run.
 */
export const scrubRequest = z.object({
  pairs,
  direction: z.enum(directions).default('noising'),
  source: sweepSource,
  /** Sets of components that are kept, one run each. */
  keep: z.array(z.array(patchPlace).max(20_000)).min(1).max(256),
  /** What all components are: those that are not kept are replaced. */
  components: z
    .array(z.enum(['z', 'attn_out', 'mlp_out']))
    .min(1)
    .default(['z', 'mlp_out']),
  /** Runs of each set, with other seeds (resample, noise). */
  draws: z.number().int().min(1).max(256).default(1),
  metrics: sweepMetrics,
})
export type ScrubRequest = z.infer<typeof scrubRequest>
export type ScrubRequestInput = z.input<typeof scrubRequest>
export const scrubInput = scrubRequest.extend(ofModel)

/**
 * Axes of the result: a name and the layers, heads, positions or units that stand along it; for a list `site`; of features
 * `feature`, and then `position` where sites are by position.
 */
export const sweepPlan = z.object({
  axes: z.array(
    z.object({ name: z.enum(['layer', ...sweepAxes, 'feature', 'site']), values: z.array(index) }),
  ),
  shape: z.array(index),
  /** The metric of clean and corrupt, means over pairs; one for each metric. */
  ends: z.array(metricEnds),
  /** Hook name of each layer, or of each site of a list; of features the one that is patched. */
  hooks: z.array(z.string()),
  /** Of features: their activations on the first pair, [feature, position of the base]; 0 without a partner. */
  activations: z.object({ base: floatTensor, source: floatTensor }).optional(),
})
export type SweepPlan = z.infer<typeof sweepPlan>

/** First what is swept, then batches of finished sites, each site once. `done` counts known sites too. */
export const sweepProgress = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('plan'), plan: sweepPlan, done: index, total: index }),
  z.object({
    kind: z.literal('values'),
    sites: intArray,
    raw: floatTensor, // [site, metric]
    done: index,
    total: index,
  }),
])
export type SweepProgress = z.infer<typeof sweepProgress>

export const sweepResult = z.object({
  /** The base run of the first pair, and the run that the source's activations come from (null where none is run). */
  evidence,
  source: evidence.nullable(),
  direction: z.enum(directions),
  plan: sweepPlan,
  /** [metric, …shape]: the metric with that site patched. NaN for a position that has no partner in the other prompt. */
  raw: floatTensor,
  /** (raw − corrupt) / (clean − corrupt): 0 as corrupt, 1 as clean. Null where the two are the same (see `ends.problem`). */
  normalised: z.array(floatTensor.nullable()),
  /** Sites that were run, and those that are exact without: source and base are the same there, or nothing follows. */
  computed: index,
  unchanged: index,
  seconds: z.number(),
  /** As waves on compiled blocks, or as rows of ordinary runs. */
  way: z.enum(['wave', 'runs']),
  notes: z.array(z.string()),
})
export type SweepResult = z.infer<typeof sweepResult>

export const scrubResult = z.object({
  evidence,
  direction: z.enum(directions),
  ends: z.array(metricEnds),
  circuits: z.array(
    z.object({
      kept: index,
      replaced: index,
      values: floatTensor, // [metric, draw], means over pairs
      mean: z.array(z.number()),
      normalised: z.array(z.number().nullable()),
    }),
  ),
})
export type ScrubResult = z.infer<typeof scrubResult>

/** A run as a request that anybody can repeat. */
export const siteRun = z.object({
  request: runRequest,
  tensors: z.record(z.string(), floatTensor),
  /** How many of its interventions, the first ones, make the base itself (noise); those behind them patch it. */
  base: index,
})
export type SiteRun = z.infer<typeof siteRun>

/** The calls, as `calls` in api.ts takes them. A cancelled sweep has streamed what it found: give it back as `known`. */
export const sweepCalls = {
  'sweep.run': { input: sweepInput, output: sweepResult, progress: sweepProgress },
  'sweep.paths': { input: pathInput, output: sweepResult, progress: sweepProgress },
  'sweep.scrub': {
    input: scrubInput,
    output: scrubResult,
    progress: z.object({ done: index, total: index }),
  },
  /**
   * The run of one site of one pair as a request of its own, for `run.execute`: with captures and all logits if wanted. With
   * receivers the second run of path patching from that sender.
   */
  'sweep.site': {
    input: sweepRequest.extend({
      ...ofModel,
      receivers: paths.receivers.optional(),
      frozen: paths.frozen,
      site: index,
      pair: index.default(0),
    }),
    output: siteRun,
    progress: z.null(),
  },
} satisfies Record<string, { input: z.ZodType; output: z.ZodType; progress: z.ZodType }>
