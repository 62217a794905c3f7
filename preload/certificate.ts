/**
 * Parity certificates: what a model's numbers were checked against, on which provider and precision, and how far off they
 * were. One belongs to a combination (fingerprint, provider, precision) and to the versions that computed it.
 */
import { z } from 'zod'
import { certificateSummary, precisions, providers, type CertificateSummary } from './run'

/** What is compared, one row of a certificate each; the last four are self-checks. */
export const groupMeanings = {
  tokens: 'Token ids of the prompts',
  logits: 'Logits',
  weights: 'Weights, as dequantised',
  'top 10': 'Ten likeliest next tokens',
  activations: 'Activations at hook points',
  norms: 'Norms of the residual stream',
  patterns: 'Attention patterns',
  lens: 'Top token of the logit lens',
  steered: 'Logits with a vector added',
  patched: 'Logits with a patched position',
  ablated: 'Logits with a head ablated',
  gradients: 'Gradients at hook points',
  'logit lens': 'Logits of the logit lens',
  'direct attribution': 'Direct logit attribution',
  'attribution patching': 'Estimates by attribution patching',
  'exact patching': 'Effects of patches',
  'integrated gradients': 'Integrated gradients, and gradient × input',
  generation: 'Greedy continuations',
  tokenizer: 'Tokenizer, there and back',
  batched: 'Prompts in a padded batch against each alone',
  cached: 'Decoding on cached keys and values against whole sequences',
  'whole graph': 'The stack of blocks against the model as one graph',
  provider: 'The accelerator against the CPU',
} as const
export type GroupName = keyof typeof groupMeanings
export const groupNames = Object.keys(groupMeanings) as [GroupName, ...GroupName[]]

/** Groups that agree or do not; their `worst` is the share of items that differ, and nothing but 0 passes. */
export const exactGroups: ReadonlySet<GroupName> = new Set([
  'tokens',
  'top 10',
  'lens',
  'generation',
  'tokenizer',
])

export const certificateGroup = z
  .object({
    group: z.enum(groupNames),
    /** Tensors or texts compared. */
    count: z.number().int().positive(),
    /**
     * Worst relative error, max|a − b| / max|b| over a tensor; for exact groups the share of entries that differ. null where
     * shapes differed or a number was none.
     */
    worst: z.number().nonnegative().nullable(),
    worstTensor: z.string().max(1000),
    tolerance: z.number().nonnegative(),
    passed: z.boolean(),
  })
  .refine(({ worst, tolerance, passed }) => passed === (worst !== null && worst <= tolerance), {
    message: 'passed does not follow from the error and the tolerance',
  })
export type CertificateGroup = z.infer<typeof certificateGroup>

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

export const certificateSource = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('reference'),
    /** What the reference calls itself. */
    name: z.string().max(1000),
    /** Of the file with its tensors. */
    sha256,
    /** Number format in which the reference was computed, as it says itself; null where it does not. */
    computedIn: z.string().max(100).nullable(),
  }),
  z.object({ kind: z.literal('self-check') }),
])
export type CertificateSource = z.infer<typeof certificateSource>

export const certificate = z
  .object({
    format: z.literal('patchbay.certificate'),
    version: z.literal(1),
    fingerprint: sha256,
    modelName: z.string().max(1000),
    precision: z.enum(precisions),
    provider: z.enum(providers),
    patchbay: z.string().max(100),
    onnxruntime: z.string().max(100),
    date: z.iso.datetime(),
    source: certificateSource,
    groups: z.array(certificateGroup).min(1).max(groupNames.length),
    /** What was left out, and why. */
    notes: z.array(z.string().max(1000)).max(100),
    passed: z.boolean(),
  })
  .refine(({ groups, passed }) => passed === groups.every((group) => group.passed), {
    message: 'passed does not follow from the groups',
  })
export type Certificate = z.infer<typeof certificate>

/** A certificate in a few words, the same in the window, in terminals and in files: "parity 7e-7 vs reference". */
export function certificateText(summary: CertificateSummary | null | undefined): string {
  if (summary === null || summary === undefined) return 'not certified'
  const { source, passed, worst } = summary
  const error = worst === null ? 'not comparable' : worst === 0 ? '0' : worst.toExponential(0)
  if (!passed)
    return source === 'reference' ? `parity failed, ${error} vs reference` : `self-check failed, ${error}`
  return source === 'reference' ? `parity ${error} vs reference` : `self-checked, ${error}`
}

/** What is known of a model on one provider and in one precision; for the library. */
export const combinationCertificate = certificateSummary.extend({
  provider: z.enum(providers),
  precision: z.enum(precisions),
})
export type CombinationCertificate = z.infer<typeof combinationCertificate>

export const certificateProgress = z.object({
  done: z.number().int(),
  total: z.number().int(),
  /** What is being compared now, in a few words. */
  what: z.string(),
})
export type CertificateProgress = z.infer<typeof certificateProgress>
