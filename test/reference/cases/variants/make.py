"""Makes the cases in this folder: tiny random checkpoints whose settings the usual ones do not have, with float64 references.

    python make.py OUT [NAME...]          with transformers 4.57.6: config.json, weights, references
    python make.py OUT --again [NAME...]  with transformers 5: config.transformers5.json, and the references compared

Everything runs through transformers' eager code. For float64 everywhere, torch.float32 is float64 while a reference is
computed. Greedy continuations recompute the whole sequence at every step.
"""

import json
import math
import os
import shutil
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

F32, F64 = torch.float32, torch.float64
TO_FLOAT = torch.Tensor.float

LLAMA = dict(blocks="model.layers", attn_out="self_attn.o_proj", mlp_out="mlp", z_input_of="self_attn.o_proj")
POST_NORMS = dict(LLAMA, attn_out="post_attention_layernorm", mlp_out="post_feedforward_layernorm")
BLOOM = dict(
    blocks="transformer.h",
    attn_out="self_attention.dense",
    mlp_out="mlp.dense_4h_to_h",
    z_input_of="self_attention.dense",
)
GPT2 = dict(blocks="transformer.h", attn_out="attn.c_proj", mlp_out="mlp.c_proj", z_input_of="attn.c_proj")
OPT = dict(
    blocks="model.decoder.layers", attn_out="self_attn.out_proj", mlp_out="fc2", z_input_of="self_attn.out_proj"
)


def sized(**settings):
    return dict(
        vocab_size=48, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    ) | settings


def falcon(**settings):
    return dict(
        vocab_size=48, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, ffn_hidden_size=32,
        bos_token_id=1, eos_token_id=2,
    ) | settings


def gpt(**settings):
    return dict(
        vocab_size=48, n_embd=24, n_layer=2, n_head=3, n_positions=64, n_inner=32, bos_token_id=1, eos_token_id=2
    ) | settings


def opt(**settings):
    return dict(
        vocab_size=48, hidden_size=24, ffn_dim=32, num_hidden_layers=2, max_position_embeddings=64, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    ) | settings


# name: configuration class, settings, where the activations are
CASES = {
    "falcon_alibi": ("FalconConfig", falcon(multi_query=False, parallel_attn=False, bias=True, alibi=True), BLOOM),
    "falcon_multi_head": (
        "FalconConfig",
        falcon(num_attention_heads=4, multi_query=False, bias=True, rope_theta=500.0, activation="gelu_new", tie_word_embeddings=False),
        BLOOM,
    ),
    "falcon_one_norm": ("FalconConfig", falcon(num_kv_heads=3, num_ln_in_parallel_attn=1, new_decoder_architecture=True), BLOOM),
    "opt_post_norm": (
        "OPTConfig",
        opt(num_attention_heads=3, do_layer_norm_before=False, word_embed_proj_dim=16, activation_function="gelu"),
        OPT,
    ),
    "opt_no_bias": (
        "OPTConfig",
        opt(num_attention_heads=4, enable_bias=False, layer_norm_elementwise_affine=False, _remove_final_layer_norm=True, tie_word_embeddings=False),
        OPT,
    ),
    "gpt_neox_sequential": (
        "GPTNeoXConfig",
        dict(vocab_size=48, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, use_parallel_residual=False, attention_bias=False, rotary_pct=0.5, rotary_emb_base=1000, max_position_embeddings=64, hidden_act="gelu_fast", rope_scaling={"rope_type": "linear", "factor": 3.0}, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True),
        dict(blocks="gpt_neox.layers", attn_out="attention.dense", mlp_out="mlp.dense_4h_to_h", z_input_of="attention.dense"),
    ),
    "stablelm_parallel": (
        "StableLmConfig",
        sized(use_parallel_residual=True, qk_layernorm=True, use_qkv_bias=False, partial_rotary_factor=0.6, tie_word_embeddings=True, hidden_size=40),
        LLAMA,
    ),
    "phi3_longrope": (
        "Phi3Config",
        sized(original_max_position_embeddings=8, hidden_size=32, rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 3.0, 4.5]}, rms_norm_eps=1e-6),
        dict(LLAMA, mlp_out="mlp.down_proj"),
    ),
    # the continuation crosses the original length
    "phi3_partial": (
        "Phi3Config",
        sized(original_max_position_embeddings=16, hidden_size=48, partial_rotary_factor=0.5, rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.5, 2.0, 3.0]}, tie_word_embeddings=True),
        dict(LLAMA, mlp_out="mlp.down_proj"),
    ),
    "qwen3_yarn": (
        "Qwen3Config",
        sized(num_hidden_layers=3, num_key_value_heads=4, head_dim=10, attention_bias=True, use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True, rope_theta=100.0, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 4.0, "beta_slow": 0.5}),
        LLAMA,
    ),
    # all of it is beyond the trained length
    "llama_dynamic": (
        "LlamaConfig",
        sized(max_position_embeddings=8, head_dim=12, attention_bias=True, mlp_bias=True, hidden_act="gelu_pytorch_tanh", tie_word_embeddings=True, rope_scaling={"rope_type": "dynamic", "factor": 3.0}),
        LLAMA,
    ),
    "llama_yarn_mscale": (
        "LlamaConfig",
        sized(num_attention_heads=3, num_key_value_heads=1, rope_theta=50.0, hidden_act="relu", rope_scaling={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "mscale": 1.0, "mscale_all_dim": 0.5}),
        LLAMA,
    ),
    "mistral_head_dim": ("MistralConfig", sized(head_dim=10, sliding_window=3, num_key_value_heads=1, rope_theta=123.0, tie_word_embeddings=True), LLAMA),
    "qwen2_sliding": ("Qwen2Config", sized(num_hidden_layers=3, use_sliding_window=True, sliding_window=3, max_window_layers=2, rope_theta=1000.0), LLAMA),
    "gemma_gelu": ("GemmaConfig", sized(head_dim=10, num_key_value_heads=1, hidden_act="gelu_pytorch_tanh", attention_bias=True, rope_theta=300.0, rms_norm_eps=1e-5), LLAMA),
    "gemma2_full_first": (
        "Gemma2Config",
        sized(head_dim=10, num_attention_heads=3, num_key_value_heads=1, query_pre_attn_scalar=17, sliding_window=4, layer_types=["full_attention", "sliding_attention"], attn_logit_softcapping=2.0, final_logit_softcapping=None),
        POST_NORMS,
    ),
    "gemma3_linear": (
        "Gemma3TextConfig",
        sized(num_hidden_layers=3, head_dim=12, num_key_value_heads=1, query_pre_attn_scalar=9, sliding_window=3, layer_types=["sliding_attention", "sliding_attention", "full_attention"], final_logit_softcapping=5.0, rope_theta=5000.0, rope_local_base_freq=50.0, rope_scaling={"rope_type": "linear", "factor": 4.0}, tie_word_embeddings=False),
        POST_NORMS,
    ),
    # images are not read; the language model is
    "gemma3_vision": (
        "Gemma3Config",
        dict(
            text_config=sized(head_dim=8, num_key_value_heads=1, query_pre_attn_scalar=9, sliding_window=3, layer_types=["sliding_attention", "full_attention"], rope_scaling={"rope_type": "linear", "factor": 8.0}),
            vision_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14),
            mm_tokens_per_image=4, boi_token_index=45, eoi_token_index=46, image_token_index=47,
        ),
        dict(POST_NORMS, blocks="model.language_model.layers"),
    ),
    "bloom_odd_heads": (
        "BloomConfig",
        dict(vocab_size=48, hidden_size=24, n_layer=2, n_head=6, apply_residual_connection_post_layernorm=True, bos_token_id=1, eos_token_id=2, pad_token_id=0),
        BLOOM,
    ),
    "olmo_clip": ("OlmoConfig", sized(clip_qkv=0.3, attention_bias=True, tie_word_embeddings=True, num_key_value_heads=1, rope_scaling={"type": "linear", "factor": 2.0}), LLAMA),
    "olmo2_bias": ("Olmo2Config", sized(attention_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-3, hidden_act="gelu", num_attention_heads=6, num_key_value_heads=3), POST_NORMS),
    "cohere_qk_norm": ("CohereConfig", sized(use_qk_norm=True, attention_bias=True, logit_scale=0.5, tie_word_embeddings=False, hidden_act="gelu", rope_theta=77.0), LLAMA),
    "gpt_bigcode_multi_head": ("GPTBigCodeConfig", gpt(multi_query=False, scale_attn_weights=False, activation_function="relu", tie_word_embeddings=False), GPT2),
    "gptj_tied": (
        "GPTJConfig",
        gpt(rotary_dim=8, activation_function="silu", tie_word_embeddings=True),
        dict(GPT2, attn_out="attn.out_proj", mlp_out="mlp.fc_out", z_input_of="attn.out_proj"),
    ),
    "gpt_neo_local_first": (
        "GPTNeoConfig",
        dict(vocab_size=48, hidden_size=24, num_layers=3, num_heads=4, attention_types=[[["local"], 2], [["global"], 1]], window_size=3, intermediate_size=32, max_position_embeddings=64, activation_function="gelu", bos_token_id=1, eos_token_id=2),
        dict(GPT2, attn_out="attn.attention.out_proj", z_input_of="attn.attention.out_proj"),
    ),
    "gpt2_options": ("GPT2Config", gpt(scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True, activation_function="relu", tie_word_embeddings=False), GPT2),
    "phi_qk_norm": (
        "PhiConfig",
        sized(qk_layernorm=True, partial_rotary_factor=0.75, hidden_size=32, hidden_act="gelu", tie_word_embeddings=True),
        dict(LLAMA, attn_out="self_attn.dense", mlp_out="mlp.fc2", z_input_of="self_attn.dense"),
    ),
    "qwen3_moe_mixed": (
        "Qwen3MoeConfig",
        sized(num_hidden_layers=4, num_experts=5, num_experts_per_tok=3, norm_topk_prob=False, moe_intermediate_size=12, decoder_sparse_step=2, mlp_only_layers=[1], head_dim=8, attention_bias=True, use_sliding_window=True, sliding_window=4, num_key_value_heads=1),
        LLAMA,
    ),
    "smollm3_sliding": ("SmolLM3Config", sized(num_hidden_layers=4, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=4, attention_bias=True, mlp_bias=True, tie_word_embeddings=False), LLAMA),
    "starcoder2_sliding": ("Starcoder2Config", sized(sliding_window=4, use_bias=False, tie_word_embeddings=False, hidden_act="gelu", norm_epsilon=1e-3, num_key_value_heads=1), dict(LLAMA, mlp_out="mlp.c_proj")),
    "granite_llama3": (
        "GraniteConfig",
        sized(attention_bias=True, mlp_bias=True, tie_word_embeddings=False, embedding_multiplier=2.0, attention_multiplier=0.11, residual_multiplier=0.4, logits_scaling=3.0, rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}),
        LLAMA,
    ),
    "mixtral_sliding": ("MixtralConfig", sized(sliding_window=4, head_dim=10, num_local_experts=3, num_experts_per_tok=1, tie_word_embeddings=True, hidden_act="gelu"), dict(LLAMA, mlp_out=["block_sparse_moe", "mlp"])),
    "glm4_tied": (
        "Glm4Config",
        sized(attention_bias=False, tie_word_embeddings=True, head_dim=12, partial_rotary_factor=0.7, num_key_value_heads=1),
        dict(LLAMA, attn_out="post_self_attn_layernorm", mlp_out="post_mlp_layernorm"),
    ),
    "gpt_oss_plain_rope": (
        "GptOssConfig",
        sized(num_attention_heads=6, num_key_value_heads=3, head_dim=6, num_local_experts=3, num_experts_per_tok=3, layer_types=["full_attention", "sliding_attention"], sliding_window=3, rope_scaling={"rope_type": "linear", "factor": 2.0}, tie_word_embeddings=True),
        LLAMA,
    ),
    "mpt_clip": (
        "MptConfig",
        dict(vocab_size=48, d_model=24, n_heads=6, n_layers=2, max_seq_len=64, attn_config={"clip_qkv": 0.8, "softmax_scale": 0.3}, bos_token_id=1, eos_token_id=2),
        dict(blocks="transformer.blocks", attn_out="attn.out_proj", mlp_out="ffn.down_proj", z_input_of="attn.out_proj"),
    ),
}


def implementation(name):
    """transformers' eager Falcon adds ALiBi twice, once with the mask; its default, sdpa, is what the models were trained with."""
    return "sdpa" if name == "falcon_alibi" else "eager"


def model_class(config_class):
    name = config_class[: -len("Config")]
    if name == "Gemma3":
        return transformers.Gemma3ForConditionalGeneration
    name = name[:-4] if name.endswith("Text") else name
    return getattr(transformers, name + ("LMHeadModel" if name == "GPT2" else "ForCausalLM"))


def set_precision(dtype):
    torch.set_default_dtype(dtype)
    torch.float32 = torch.float = dtype
    torch.Tensor.float = TO_FLOAT if dtype == F32 else lambda self, *args, **kwargs: self.double()


def module_at(module, paths):
    for path in paths if isinstance(paths, list) else [paths]:
        found = module
        try:
            for part in path.split("."):
                found = getattr(found, part)
            return found
        except AttributeError:
            continue
    raise AttributeError(paths)


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    around_zero = model.config.model_type in ("gemma", "gemma2", "gemma3_text", "gemma3")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            one = 0 if around_zero and "norm" in name else 1
            if parameter.dim() == 1 and name.endswith("weight"):
                parameter.copy_(one + 0.2 * noise)
            elif "norm" in name:
                parameter.copy_(1 + 0.2 * noise if "weight" in name else 0.2 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise)
            elif any(part in name for part in ("embed", "wte", "wpe")):
                parameter.copy_(0.6 * noise)
            else:
                parameter.copy_(0.9 / math.sqrt(parameter.shape[-1]) * noise)


def run(model, ids, modules, edits=None):
    """Logits and activations, with `edits` applied to residual streams ("pre", block) and head outputs ("z", block)."""
    edits = edits or {}
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or config.n_head
    multiplier = config.residual_multiplier if config.model_type == "granite" else 1.0
    out, hooks = {}, []
    first = lambda value: value[0] if isinstance(value, tuple) else value

    def watch(block, i):
        def resid_pre(_, args, kwargs):
            x = args[0] if args else kwargs["hidden_states"]
            x = edits.get(("pre", i), lambda value: value)(x.clone())
            out[f"blocks.{i}.hook_resid_pre"] = x
            return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})

        def z(_, args):
            value = edits.get(("z", i), lambda value: value)(args[0].reshape(*ids.shape, heads, -1).clone())
            out[f"blocks.{i}.attn.hook_z"] = value
            return (value.reshape(args[0].shape),)

        def keep(name):
            def hook(_, __, value):
                out[f"blocks.{i}.{name}"] = (first(value) * multiplier).reshape(*ids.shape, -1)

            return hook

        hooks.append(block.register_forward_pre_hook(resid_pre, with_kwargs=True))
        hooks.append(module_at(block, modules["z_input_of"]).register_forward_pre_hook(z))
        hooks.append(module_at(block, modules["attn_out"]).register_forward_hook(keep("hook_attn_out")))
        hooks.append(module_at(block, modules["mlp_out"]).register_forward_hook(keep("hook_mlp_out")))

    blocks = list(module_at(model, modules["blocks"]))
    for i, block in enumerate(blocks):
        watch(block, i)
    last = f"blocks.{len(blocks) - 1}.hook_resid_post"
    hooks.append(blocks[-1].register_forward_hook(lambda _, __, value: out.__setitem__(last, first(value))))
    patterns = {} if config._attn_implementation == "sdpa" else {"output_attentions": True}
    result = model(input_ids=ids, use_cache=False, **patterns)
    for hook in hooks:
        hook.remove()
    out["logits"] = result.logits
    for i, pattern in enumerate(result.attentions or []):
        out[f"blocks.{i}.attn.hook_pattern"] = pattern
    return out


@torch.no_grad()
def reference(model, seed, modules):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, model.config.get_text_config().vocab_size, (2, 12), generator=generator)
    meta = dict(
        tokA=5, tokB=40, batch=2, sequence=12, steer_block=1,
        patch=dict(block=1, position=5, from_row=1, into_row=0), ablate=dict(layer=1, head=1), new_tokens=8,
        modules=modules,
    )
    plain = run(model, ids, modules)
    tensors = {**plain, "input_ids": ids}
    last = plain["logits"][:, -1]
    tensors["metric"] = (last[:, meta["tokA"]] - last[:, meta["tokB"]]).sum().reshape(1)

    stream = plain["blocks.1.hook_resid_pre"]
    vector = torch.randn(stream.shape[-1], generator=generator, dtype=F64) * stream.std()
    vector = vector.to(torch.float16).to(F64)
    steering = {("pre", 1): lambda x: x + vector}
    tensors["steer.vector"] = vector
    tensors["steer.logits"] = run(model, ids, modules, steering)["logits"]

    def patch(x):
        x[0, 5] = stream[1, 5]
        return x

    def ablate(z):
        z[:, :, 1] = 0
        return z

    tensors["patch.logits"] = run(model, ids, modules, {("pre", 1): patch})["logits"][0]
    tensors["ablate.logits"] = run(model, ids, modules, {("z", 1): ablate})["logits"]

    gap = math.inf
    for name, edits in (("generate.ids", None), ("steer.generate.ids", steering)):
        sequence = ids
        for _ in range(meta["new_tokens"]):
            logits = run(model, sequence, modules, edits)["logits"][:, -1]
            top = logits.topk(2).values
            gap = min(gap, ((top[:, 0] - top[:, 1]) / logits.abs().max()).min().item())
            sequence = torch.cat([sequence, logits.argmax(-1, keepdim=True)], 1)
        tensors[name] = sequence
    return tensors, meta, gap


def make(name, folder):
    config_class, settings, modules = CASES[name]
    os.makedirs(folder, exist_ok=True)
    for attempt in range(6):  # until no greedy choice is close
        seed = 1000 + 17 * attempt + sum(map(ord, name))
        config = getattr(transformers, config_class)(**settings, attn_implementation=implementation(name))
        torch.manual_seed(seed)
        transformers.PreTrainedModel._initialize_weights = lambda *_: None
        model = model_class(config_class)(config).eval()
        randomise(model, seed)
        model.tie_weights()
        model.save_pretrained(folder)
        model = load(name, folder)
        set_precision(F64)
        tensors, meta, gap = reference(model.double(), seed, modules)
        set_precision(F32)
        if gap > 3e-3:
            break
    os.remove(f"{folder}/generation_config.json")
    stored = {k: (v.to(F32) if v.is_floating_point() else v).contiguous().clone() for k, v in tensors.items()}
    save_file(stored, f"{folder}/reference.safetensors")
    versions = dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__)
    write(
        f"{folder}/reference.json",
        dict(
            name=name, architecture=model.config.model_type, seed=seed, **meta, versions=versions,
            computed_in="float64", stored_as="float32", checks=dict(greedy_min_top2_gap=gap),
            tensors={k: [str(v.dtype).removeprefix("torch."), list(v.shape)] for k, v in sorted(stored.items())},
        ),
    )
    print(name, "smallest gap", round(gap, 4), flush=True)


def make_again(name, folder):
    _, _, modules = CASES[name]
    model = load(name, folder)
    with tempfile.TemporaryDirectory() as scratch:
        model.config.save_pretrained(scratch)
        shutil.copy(f"{scratch}/config.json", f"{folder}/config.transformers5.json")
    with open(f"{folder}/reference.json") as file:
        meta = json.load(file)
    set_precision(F64)
    tensors, _, _ = reference(model.double(), meta["seed"], modules)
    set_precision(F32)
    stored = load_file(f"{folder}/reference.safetensors")
    floats = {k: v.double() for k, v in stored.items() if v.dtype == F32}
    worst = max(((tensors[k].double() - v).abs().max() / v.abs().max()).item() for k, v in floats.items())
    assert all(torch.equal(tensors[k], v) for k, v in stored.items() if v.dtype != F32)
    meta["checks"][f"transformers_{transformers.__version__}_worst_rel_error"] = worst
    write(f"{folder}/reference.json", meta)
    print(name, "differs by", worst, flush=True)


def load(name, folder):
    return model_class(CASES[name][0]).from_pretrained(folder, attn_implementation=implementation(name), dtype=F32).eval()


def write(path, content):
    with open(path, "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    target, *names = [argument for argument in sys.argv[1:] if argument != "--again"]
    for case in names or CASES:
        (make_again if "--again" in sys.argv else make)(case, f"{target}/{case}")
