/** GGUF's block types by name: how each becomes float32, bit for bit what ggml's reference dequantisation gives. */
import type { GgufBlockType } from '../storage'
import type { Dequantise } from './dequantise'
import { mxfp4, nvfp4 } from './fp4'
import { iq1_m, iq1_s } from './iq1'
import { iq2_s, iq2_xs, iq2_xxs } from './iq2'
import { iq3_s, iq3_xxs } from './iq3'
import { iq4_nl, iq4_xs } from './iq4'
import { q2_k, q3_k, q4_k, q5_k, q6_k } from './k'
import { q4_0, q4_1, q5_0, q5_1, q8_0 } from './legacy'
import { tq1_0, tq2_0 } from './ternary'

export const dequantisers: Readonly<Record<GgufBlockType, Dequantise>> = {
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q8_0: q8_0,
  Q2_K: q2_k,
  Q3_K: q3_k,
  Q4_K: q4_k,
  Q5_K: q5_k,
  Q6_K: q6_k,
  IQ1_S: iq1_s,
  IQ1_M: iq1_m,
  IQ2_XXS: iq2_xxs,
  IQ2_XS: iq2_xs,
  IQ2_S: iq2_s,
  IQ3_XXS: iq3_xxs,
  IQ3_S: iq3_s,
  IQ4_NL: iq4_nl,
  IQ4_XS: iq4_xs,
  TQ1_0: tq1_0,
  TQ2_0: tq2_0,
  MXFP4: mxfp4,
  NVFP4: nvfp4,
}
