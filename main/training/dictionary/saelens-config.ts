/**
 * SAELens' `cfg.json` ⇄ a dictionary's configuration. Version 6 keeps what belongs to training in `metadata`; before it
 * the file was flat, `activation_fn_str: topk` overrode the architecture, b_dec was subtracted unless said otherwise, and
 * the heads' z was told by the hook's name.
 */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import type { DictionaryConfig } from './config'

const architectures = [
  'standard',
  'topk',
  'jumprelu',
  'gated',
  'transcoder',
  'skip_transcoder',
  'jumprelu_transcoder',
  'jumprelu_skip_transcoder',
] as const

const size = z
  .number()
  .int()
  .positive()
  .max(2 ** 24)
const common = {
  d_in: size,
  d_sae: size,
  d_out: size.optional(),
  apply_b_dec_to_input: z.boolean().optional(),
  normalize_activations: z.string().nullish(),
  reshape_activations: z.enum(['none', 'hook_z']).optional(),
}
const text = z.string().nullish()

const current = z.object({
  ...common,
  architecture: z.string(),
  k: size.optional(),
  rescale_acts_by_decoder_norm: z.boolean().optional(),
  metadata: z
    .object({ model_name: text, hook_name: text, hook_name_out: text, prepend_bos: z.boolean().nullish() })
    .partial(),
})
const flat = z.object({
  ...common,
  architecture: z.string().optional(),
  activation_fn_str: text,
  activation_fn: text,
  activation_fn_kwargs: z.object({ k: size.optional() }).nullish(),
  hook_name: text,
  hook_point: text,
  hook_name_out: text,
  model_name: text,
  prepend_bos: z.boolean().nullish(),
})

const normalisations: Readonly<Record<string, DictionaryConfig['normalise']>> = {
  none: 'none',
  // Both are folded into the weights when training ends.
  expected_average_only_in: 'none',
  covariance_whitening: 'none',
  constant_norm_rescale: 'constant-norm',
  layer_norm: 'layer-norm',
}

/** @throws PatchbayError `file.malformed` naming the field, `model.unsupported` for what is not computed here */
export function readSaelensConfig(value: unknown, file: string): DictionaryConfig {
  const isCurrent = typeof value === 'object' && value !== null && 'metadata' in value
  return isCurrent
    ? fromCurrent(parsed(current, value, file), file)
    : fromFlat(parsed(flat, value, file), file)
}

function fromCurrent(cfg: z.infer<typeof current>, file: string): DictionaryConfig {
  const { metadata } = cfg
  return checked(
    {
      ...shared(cfg, cfg.architecture, file),
      subtractDecoderBias: cfg.apply_b_dec_to_input ?? true,
      k: cfg.k ?? null,
      rescaleByDecoderNorm: cfg.rescale_acts_by_decoder_norm ?? false,
      hook: metadata.hook_name ?? null,
      outputHook: metadata.hook_name_out ?? null,
      joinsHeads: cfg.reshape_activations === 'hook_z',
      modelName: metadata.model_name ?? null,
      prependBos: metadata.prepend_bos ?? null,
    },
    file,
  )
}

function fromFlat(cfg: z.infer<typeof flat>, file: string): DictionaryConfig {
  const activation = cfg.activation_fn_str ?? cfg.activation_fn ?? 'relu'
  const isTopk = activation === 'topk'
  if (!isTopk && activation !== 'relu') throw unsupported(`the activation function ${activation}`, file)
  const hook = cfg.hook_name ?? cfg.hook_point ?? null
  return checked(
    {
      ...shared(cfg, isTopk ? 'topk' : (cfg.architecture ?? 'standard'), file),
      subtractDecoderBias: cfg.apply_b_dec_to_input ?? true,
      k: cfg.activation_fn_kwargs?.k ?? null,
      rescaleByDecoderNorm: false,
      hook,
      outputHook: cfg.hook_name_out ?? null,
      joinsHeads: cfg.reshape_activations === 'hook_z' || (hook?.endsWith('_z') ?? false),
      modelName: cfg.model_name ?? null,
      prependBos: cfg.prepend_bos ?? null,
    },
    file,
  )
}

function shared(cfg: z.infer<typeof flat> | z.infer<typeof current>, architecture: string, file: string) {
  const known = architectures.find((name) => name === architecture)
  if (known === undefined) throw unsupported(`the architecture ${architecture}`, file)
  const normalise = normalisations[cfg.normalize_activations ?? 'none'] as
    DictionaryConfig['normalise'] | undefined
  if (normalise === undefined)
    throw unsupported(`the normalisation ${String(cfg.normalize_activations)}`, file)
  const transcoder = known.endsWith('transcoder')
  return {
    activation: activationOf(known),
    dIn: cfg.d_in,
    dOut: cfg.d_out ?? cfg.d_in,
    dSae: cfg.d_sae,
    normalise,
    transcoder,
    skip: known.includes('skip'),
  }
}

function activationOf(architecture: (typeof architectures)[number]): DictionaryConfig['activation'] {
  if (architecture.startsWith('jumprelu')) return 'jumprelu'
  if (architecture === 'topk' || architecture === 'gated') return architecture
  return 'standard'
}

function checked(config: DictionaryConfig, file: string): DictionaryConfig {
  if (config.activation === 'topk' && (config.k === null || config.k > config.dSae))
    throw new PatchbayError(
      'file.malformed',
      `cfg.json does not say how many features are active, or more than there are.`,
      {
        file,
        field: 'k',
        next: 'Download the dictionary again.',
      },
    )
  // A transcoder's b_dec belongs to its output.
  return { ...config, subtractDecoderBias: config.subtractDecoderBias && !config.transcoder }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const field = issue.path.join('.')
  throw new PatchbayError('file.malformed', `cfg.json is not SAELens’: ${field}: ${issue.message}.`, {
    file,
    field,
    next: 'Download the dictionary again.',
  })
}

const unsupported = (what: string, file: string): PatchbayError =>
  new PatchbayError('model.unsupported', `This dictionary uses ${what}, which Patchbay does not compute.`, {
    file,
    next: `Architectures that it does: ${architectures.join(', ')}.`,
  })

/** @throws PatchbayError `input.invalid` for a combination that SAELens has no name for */
export function saelensConfig(config: DictionaryConfig): Record<string, unknown> {
  const normalise = { none: 'none', 'constant-norm': 'constant_norm_rescale', 'layer-norm': 'layer_norm' }
  return {
    d_in: config.dIn,
    d_sae: config.dSae,
    dtype: 'float32',
    device: 'cpu',
    apply_b_dec_to_input: config.subtractDecoderBias,
    normalize_activations: normalise[config.normalise],
    reshape_activations: config.joinsHeads ? 'hook_z' : 'none',
    metadata: {
      sae_lens_version: '6.0.0',
      model_name: config.modelName,
      hook_name: config.hook,
      hook_name_out: config.outputHook ?? undefined,
      hook_head_index: null,
      prepend_bos: config.prependBos,
    },
    ...(config.transcoder ? { d_out: config.dOut } : {}),
    ...(config.activation === 'topk'
      ? { k: config.k, rescale_acts_by_decoder_norm: config.rescaleByDecoderNorm }
      : {}),
    architecture: architectureOf(config),
  }
}

/**
 * SAELens' name for a combination.
 * @throws PatchbayError `input.invalid` for one that it has no name for
 */
export function architectureOf({
  activation,
  transcoder,
  skip,
}: Pick<DictionaryConfig, 'activation' | 'transcoder' | 'skip'>): string {
  if (!transcoder && !skip) return activation
  if (transcoder && (activation === 'standard' || activation === 'jumprelu'))
    return `${activation === 'jumprelu' ? 'jumprelu_' : ''}${skip ? 'skip_' : ''}transcoder`
  throw new PatchbayError('input.invalid', `SAELens has no name for a ${activation} transcoder.`, {
    next: 'Train a standard or jumprelu transcoder where it should be read by SAELens.',
  })
}
