/** How checkpoints of most families name their parts: Hugging Face's Llama convention, and GGUF's. */
import type { Names } from './decoder'

export const llamaNames: Names = {
  embedding: 'model.embed_tokens',
  finalNorm: 'model.norm',
  head: 'lm_head',
  block: (layer) => `model.layers.${layer}.`,
  attentionNorm: 'input_layernorm',
  qkv: null,
  q: 'self_attn.q_proj',
  k: 'self_attn.k_proj',
  v: 'self_attn.v_proj',
  qNorm: 'self_attn.q_norm',
  kNorm: 'self_attn.k_norm',
  o: 'self_attn.o_proj',
  attentionPostNorm: null,
  mlpNorm: 'post_attention_layernorm',
  gateUp: null,
  gate: 'mlp.gate_proj',
  up: 'mlp.up_proj',
  down: 'mlp.down_proj',
  mlpPostNorm: null,
}

/** GGUF's names (https://github.com/ggml-org/llama.cpp, gguf-py's `tensor_mapping`), where q, k and v are apart. */
export const ggufNames: Names = {
  embedding: 'token_embd',
  finalNorm: 'output_norm',
  head: 'output',
  block: (layer) => `blk.${layer}.`,
  attentionNorm: 'attn_norm',
  qkv: null,
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  qNorm: 'attn_q_norm',
  kNorm: 'attn_k_norm',
  o: 'attn_output',
  attentionPostNorm: null,
  mlpNorm: 'ffn_norm',
  gateUp: null,
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
  mlpPostNorm: null,
}
