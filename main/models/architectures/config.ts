/**
 * Reading `config.json`: every key that changes a number is in the family's schema; keys known to change none are listed
 * here; anything else is refused by name, because ignoring it could give wrong numbers silently.
 */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import type { Activation } from '../spec'

/** Training, tokenizer, generation and bookkeeping settings that change no number of a forward pass. */
const harmless = new Set(
  `architectures auto_map model_type name_or_path transformers_version torch_dtype dtype use_cache
  bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id mask_token_id decoder_start_token_id
  initializer_range init_std init_device initializer_cutoff_factor
  attention_dropout attn_pdrop embd_pdrop resid_pdrop hidden_dropout embed_dropout emb_pdrop dropout resid_dropout
  embedding_dropout residual_dropout classifier_dropout activation_dropout hidden_dropout_prob layerdrop
  output_attentions output_hidden_states output_router_logits router_aux_loss_coef router_jitter_noise return_dict
  return_dict_in_generate torchscript pretraining_tp gradient_checkpointing chunk_size_feed_forward
  is_decoder is_encoder_decoder tie_encoder_decoder finetuning_task problem_type id2label label2id num_labels
  task_specific_params tokenizer_class prefix attn_implementation use_bfloat16
  summary_type summary_use_proj summary_activation summary_first_dropout summary_proj_to_labels
  max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p
  repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
  num_return_sequences output_scores forced_bos_token_id forced_eos_token_id remove_invalid_values
  exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
  reorder_and_upcast_attn attention_softmax_in_fp32 scale_attention_softmax_in_fp32 slow_but_exact
  masked_softmax_fusion offset_alibi skip_bias_add skip_bias_add_qkv bias_dropout_fusion
  init_config tokenizer_name custom_pipelines cache_implementation _num_labels is_llama_config
  inference_runner max_batch_size pad_key_length pre_allocate_kv_cache validate_runner_input
  unsloth_version unsloth_fixed license`.split(/\s+/),
)

const isHarmless = (key: string): boolean =>
  harmless.has(key) ||
  key === '_name_or_path' ||
  key.startsWith('_attn') ||
  key.startsWith('transformers.js') ||
  key === '_commit_hash'

/**
 * A family's configuration, validated.
 * @throws PatchbayError `model.unsupported`, naming the key, for one that is not understood or has a value that is not
 */
export function readConfig<S extends z.ZodRawShape>(
  config: unknown,
  family: string,
  shape: S,
): z.output<z.ZodObject<S>> {
  if (config === null || typeof config !== 'object' || Array.isArray(config))
    throw new PatchbayError('file.malformed', 'config.json holds no object.', {
      next: 'Download the model again.',
      field: 'config.json',
    })
  const unknown = Object.entries(config).find(
    ([key, value]) => value !== null && !Object.hasOwn(shape, key) && !isHarmless(key),
  )
  if (unknown !== undefined)
    throw unsupported(family, unknown[0], `is set to ${preview(unknown[1])}, which is not understood`)
  const result = z.object(shape).safeParse(config)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw unsupported(family, issue.path.join('.'), issue.message)
}

/** The error for a setting that Patchbay can not honour. */
export const unsupported = (family: string, key: string, problem: string): PatchbayError =>
  new PatchbayError(
    'model.unsupported',
    `This ${family} model can not be computed exactly: the setting "${key}" ${problem}.`,
    {
      next: 'Nothing was loaded, since ignoring the setting could give wrong numbers; please report the model.',
      field: key,
    },
  )

const preview = (value: unknown): string => JSON.stringify(value).slice(0, 80)

export const count = z
  .number()
  .int()
  .positive()
  .max(2 ** 31)
export const positive = z.number().positive()

const activationNames: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  relu2: 'relu2',
  relu_squared: 'relu2',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
}

/** An activation function under its name in transformers. */
export const activation = z
  .string()
  .refine((name) => Object.hasOwn(activationNames, name), {
    error: 'is no activation function that Patchbay knows',
  })
  .transform((name) => activationNames[name])

/** `layer_types`, one entry a layer. */
export const layerTypes = z.array(z.enum(['full_attention', 'sliding_attention'])).nullish()
