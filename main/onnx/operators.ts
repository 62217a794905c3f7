/**
 * The operators that Patchbay's builders emit, each with its attributes. Tables over this union (shape inference here,
 * gradient rules) are mapped types, so an operator without its entry does not compile.
 * Semantics: ONNX operators of opset 23 (https://onnx.ai/onnx/operators/), and those of `domains` below.
 */
import type { DType } from './graph'

/** No attributes. */
export type None = Readonly<Record<never, never>>

export interface Attributes {
  // arithmetic, element by element, with broadcasting
  Add: None
  Sub: None
  Mul: None
  Div: None
  Pow: None
  Max: None
  Min: None
  Neg: None
  Sqrt: None
  Floor: None
  Exp: None
  Log: None
  Sin: None
  Cos: None
  Erf: None
  Tanh: None
  Sigmoid: None
  Relu: None
  Gelu: { readonly approximate: 'none' | 'tanh' }
  Clip: None
  Equal: None
  Where: None
  Cast: { readonly to: DType }
  // products
  MatMul: None
  Gemm: { readonly transA?: 0 | 1; readonly transB?: 0 | 1; readonly alpha?: number; readonly beta?: number }
  /**
   * ONNX Runtime's own. Inputs A [rows, K], B [N, K/block_size, block_size·bits/8] uint8, scales [N, K/block_size]; Y = A Wᵀ
   * with w = scale · (code − 2^(bits−1)). accuracy_level 1 computes in float32.
   */
  MatMulNBits: {
    readonly K: number
    readonly N: number
    readonly bits: 4
    readonly block_size: number
    readonly accuracy_level: 1
  }
  // reductions
  ReduceMean: { readonly keepdims: 0 | 1 }
  ReduceSum: { readonly keepdims: 0 | 1; readonly noop_with_empty_axes?: 0 | 1 }
  ReduceMax: { readonly keepdims: 0 | 1 }
  Softmax: { readonly axis: number }
  TopK: { readonly axis: number; readonly largest: 0 | 1; readonly sorted: 0 | 1 }
  // layout
  Identity: None
  Shape: { readonly start?: number; readonly end?: number }
  Reshape: None
  Unsqueeze: None
  Transpose: { readonly perm: readonly number[] }
  Concat: { readonly axis: number }
  Split: { readonly axis: number }
  Slice: None
  /** Zeros around it; a negative count takes elements away. Counts: before each axis, then behind each. */
  Pad: None
  Gather: { readonly axis: number }
  GatherElements: { readonly axis: number }
  /** Slices at rows of indices [n, k]. */
  GatherND: None
  ScatterElements: { readonly axis: number; readonly reduction?: 'none' | 'add' }
  /** Writes or adds slices at rows of indices [n, k]. */
  ScatterND: { readonly reduction?: 'none' | 'add' }
  /** Indices [rank, n] of the elements that are not zero. */
  NonZero: None
  Expand: None
  // network layers
  LayerNormalization: { readonly axis: number; readonly epsilon: number }
  RMSNormalization: { readonly axis: number; readonly epsilon: number }
  RotaryEmbedding: {
    readonly interleaved: 0 | 1
    readonly num_heads: number
    readonly rotary_embedding_dim: number
  }
  /** Inputs Q, K, V [batch, pos, heads·d_head], attn_mask, past_key, past_value; outputs Y, present_key, present_value, qk. */
  Attention: {
    readonly q_num_heads: number
    readonly kv_num_heads: number
    readonly scale: number
    readonly softcap?: number
    /** 0: raw scores, 1: after the soft-cap, 2: with the mask added, 3: after the softmax (as ONNX Runtime has it) */
    readonly qk_matmul_output_mode?: 0 | 1 | 2 | 3
  }
}

export type Operator = keyof Attributes

/** Domains of the operators that are not ONNX's own, with the version that graphs declare. */
export const domains = { 'com.microsoft': 1 } as const
export const domainOf: Readonly<Partial<Record<Operator, keyof typeof domains>>> = {
  MatMulNBits: 'com.microsoft',
}

/** The operator set that graphs declare. */
export const OPSET = 23
/** IR version that goes with it (onnx 1.18). */
export const IR_VERSION = 11

/** Attributes that are floats on the wire; all other numbers are integers. */
export const floatAttributes: ReadonlySet<string> = new Set(['alpha', 'beta', 'epsilon', 'scale', 'softcap'])
