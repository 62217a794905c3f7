/** config.json: both spellings, what is refused, and that no setting is silently ignored. */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { families, readSpec } from '../../../main/models/architectures/registry'
import type { Checkpoint } from '../../../main/models/formats/checkpoint'
import type { TransformerSpec } from '../../../main/models/spec'
import { PatchbayError } from '../../../preload/errors'
import { caseFolders, casesFolder, configOf } from '../../support/cases'

const named = caseFolders.map((folder) => ({ folder, name: path.basename(folder) }))

/** A safetensors checkpoint of which only the configuration is looked at. */
const withConfig = (config: unknown): Checkpoint => ({
  format: 'safetensors',
  files: [],
  tensors: new Map(),
  config,
  metadata: new Map(),
  warnings: [],
  readFloat32: () => Promise.reject(new Error('not read here')),
  readRaw: () => Promise.reject(new Error('not read here')),
  close: () => Promise.resolve(),
})

const specOf = (config: unknown): Promise<TransformerSpec> => readSpec(withConfig(config))

const refusal = async (config: unknown): Promise<PatchbayError> => {
  const error: unknown = await specOf(config).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof PatchbayError) return error
  throw new Error(`not refused: ${String(error)}`)
}

const llama = configOf(path.join(casesFolder, 'architectures/llama'))
const qwen3 = configOf(path.join(casesFolder, 'architectures/qwen3'))
const phi = configOf(path.join(casesFolder, 'architectures/phi'))

describe('both spellings', () => {
  it.each(named)('$name means the same as transformers 5 writes it', async ({ folder }) => {
    expect(await specOf(configOf(folder, 'config.transformers5.json'))).toEqual(
      await specOf(configOf(folder)),
    )
  })
})

describe('a setting that is not understood', () => {
  it.each(named)('is refused by name in $name', async ({ folder }) => {
    const error = await refusal({ ...configOf(folder), frobnication_level: 3 })
    expect(error).toMatchObject({ code: 'model.unsupported', field: 'frobnication_level' })
    expect(error.message).toContain('frobnication_level')
  })

  it.each(named)('may be null in $name', async ({ folder }) => {
    const config = configOf(folder)
    expect(await specOf({ ...config, frobnication_level: null })).toEqual(await specOf(config))
  })

  it('is refused inside the rotary settings', async () => {
    const scaling = { rope_type: 'linear', factor: 2, wobble: 1 }
    expect((await refusal({ ...llama, rope_scaling: scaling })).message).toContain('wobble')
  })

  it('is refused inside the attention settings of MPT', async () => {
    const config = configOf(path.join(casesFolder, 'architectures/mpt'))
    expect((await refusal({ ...config, attn_config: { wobble: 1 } })).field).toBe('wobble')
    expect((await refusal({ ...config, attn_config: { alibi: false } })).field).toBe('alibi')
  })

  it('is a rotary type that nobody knows', async () => {
    const error = await refusal({ ...llama, rope_scaling: { type: 'spiral', factor: 2 } })
    expect(error.message).toMatch(/rope_type.*spiral/)
  })

  it('is a quantisation', async () => {
    const error = await refusal({ ...llama, quantization_config: { quant_method: 'awq' } })
    expect(error).toMatchObject({ code: 'model.unsupported', field: 'quantization_config' })
  })

  it('is an activation function that nobody knows', async () => {
    expect((await refusal({ ...llama, hidden_act: 'wave' })).field).toBe('hidden_act')
  })
})

describe('sizes that can not be', () => {
  it.each([
    [{ ...llama, num_key_value_heads: 3 }, 'num_key_value_heads'],
    [{ ...llama, num_hidden_layers: 2 ** 31 }, 'num_hidden_layers'],
    [{ ...llama, num_attention_heads: 2 ** 30, head_dim: 8 }, 'num_attention_heads'],
    [{ ...llama, head_dim: 7 }, 'head_dim'],
    [{ ...llama, hidden_size: 0 }, 'hidden_size'],
    [{ ...phi, partial_rotary_factor: 0.4 }, 'partial_rotary_factor'],
    [{ ...qwen3, layer_types: ['full_attention'] }, 'layer_types'],
    [
      { ...configOf(path.join(casesFolder, 'architectures/mixtral')), num_experts_per_tok: 9 },
      'num_experts_per_tok',
    ],
    [{ ...configOf(path.join(casesFolder, 'architectures/mixtral')), num_local_experts: 1e6 }, 'num_experts'],
    [{ ...configOf(path.join(casesFolder, 'architectures/smollm3')), no_rope_layers: [1] }, 'no_rope_layers'],
    [
      { ...configOf(path.join(casesFolder, 'architectures/gpt_neo')), attention_types: [[['global'], 5]] },
      'attention_types',
    ],
    [{ ...configOf(path.join(casesFolder, 'architectures/gptj')), rotary_dim: null }, 'rotary_dim'],
    [
      { ...configOf(path.join(casesFolder, 'variants/phi3_longrope')), partial_rotary_factor: 0.5 },
      'rope_scaling.short_factor',
    ],
  ])('are refused by name (%#: %s)', async (config, field) => {
    expect(await refusal(config)).toMatchObject({ code: 'model.unsupported', field })
  })
})

describe('a family that is not known', () => {
  it('is named, with what is missing and what there is', async () => {
    const error = await refusal({ ...llama, model_type: 'mamba' })
    expect(error.code).toBe('model.unknown-architecture')
    expect(error.message).toContain('"mamba"')
    expect(error.message).toContain('norms, positions, attention and MLP')
    expect(error.next).toContain('llama')
  })

  it('is a configuration without model_type', async () => {
    const rest = Object.fromEntries(Object.entries(llama).filter(([key]) => key !== 'model_type'))
    expect(await refusal(rest)).toMatchObject({ code: 'model.unknown-architecture', field: 'model_type' })
  })

  it('is a folder without config.json', async () => {
    expect(await refusal(undefined)).toMatchObject({ code: 'model.incomplete', field: 'config.json' })
  })
})

/** Settings that transformers writes and its own code for the family does not use. */
const unused: Readonly<Record<string, readonly string[]>> = {
  cohere: ['model_max_length'],
  falcon: ['num_ln_in_parallel_attn'],
  gemma: ['hidden_activation'],
  gemma3: ['boi_token_index', 'eoi_token_index', 'image_token_index', 'mm_tokens_per_image', 'vision_config'],
  gemma3_text: ['attn_logit_softcapping'],
  gpt_bigcode: ['num_key_value_heads'],
  gpt_neo: ['attention_layers'],
  gpt_neox: ['rotary_pct', 'rotary_emb_base'],
  mpt: ['expansion_ratio', 'learned_pos_emb', 'embedding_fraction', 'norm_type', 'verbose'],
  qwen3_moe: ['intermediate_size'],
  smollm3: ['no_rope_layer_interval'],
  gpt2: ['n_ctx'],
}

/** Settings that another one of the same case makes void. */
const voided: Readonly<Record<string, readonly string[]>> = {
  falcon_alibi: ['rope_theta'],
  opt_post_norm: ['_remove_final_layer_norm'],
}

/** Training, bookkeeping and generation: that they change nothing is known of transformers, not of one family. */
const harmless =
  /dropout|pdrop|_token_id$|^(architectures|model_type|transformers_version|dtype|torch_dtype|use_cache|is_decoder|initializer_range|init_std|init_device|layerdrop|pretraining_tp|output_router_logits|router_aux_loss_coef|router_jitter_noise|slow_but_exact|summary_.*|attention_softmax_in_fp32|scale_attention_softmax_in_fp32|reorder_and_upcast_attn)$/

/** Read only together with others, or where others are absent. */
const dependent =
  /^(sliding_window|max_window_layers|use_sliding_window|_sliding_window_pattern|layer_types|multi_query|num_kv_heads|original_max_position_embeddings|mlp_only_layers|decoder_sparse_step)$/

function changed(value: unknown): unknown {
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value * 2
  if (typeof value === 'string') return value === 'relu' ? 'silu' : 'relu'
  if (Array.isArray(value)) return value.length === 0 ? [0] : [...(value as unknown[]), value[0]]
  return { ...(value as object), rope_theta: 77, factor: 2, rope_type: 'linear' }
}

describe('a setting that changes the numbers', () => {
  it.each(named)('is read or refused, each one of $name', async ({ folder, name }) => {
    const config = configOf(folder)
    const family = String(config.model_type)
    const before = JSON.stringify(await specOf(config))
    for (const [key, value] of Object.entries(config)) {
      if (value === null || harmless.test(key) || dependent.test(key)) continue
      if (unused[family]?.includes(key) || voided[name]?.includes(key)) continue
      const after = await specOf({ ...config, [key]: changed(value) }).then(
        (spec) => JSON.stringify(spec),
        (error: unknown) => (error instanceof PatchbayError ? error.code : String(error)),
      )
      expect(after, key).not.toBe(before)
    }
  })
})

describe('the registry', () => {
  it('has a case for every family', () => {
    const covered = new Set(caseFolders.map((folder) => String(configOf(folder).model_type)))
    const missing = families.filter(({ modelTypes }) => !modelTypes.every((type) => covered.has(type)))
    expect(missing.map(({ name }) => name)).toEqual([])
  })

  it('reads each model_type once', () => {
    const types = families.flatMap(({ modelTypes }) => modelTypes)
    expect(new Set(types).size).toBe(types.length)
  })
})
