/** How far numbers may be off, by what they are compared with and what computed them. */
import type { Provider } from '../../../preload/run'

/** Greatest relative errors on the CPU in float32. */
export const tolerances = {
  /** Against float64, as for the reference cases: TransformerLens' norm for good. */
  case: 5e-5,
  /** A real model, 30 layers deep, against float64; TransformerLens calls more than that a bug. */
  model: 1e-4,
  /** Logits of tiny models from weights of which every bit is known. */
  gguf: 1e-5,
  /** Dequantisation has one right answer, up to the order of two multiplications. */
  tensors: 1e-6,
  /** Attribution, which is made of products of activations and gradients, against float64. */
  attribution: 1e-4,
  /** The same numbers on two ways through the same code. */
  selfCheck: 5e-5,
} as const

/** How much more than activations gradients may be off. */
export const GRADIENTS = 5

/** Accelerators sum in other orders and with other transcendental functions. */
const ACCELERATOR = 1e-3

/** The tolerance on a provider where it is `usual` on the CPU. */
export const toleranceOn = (provider: Provider, usual: number): number =>
  provider === 'cpu' ? usual : Math.max(usual, ACCELERATOR)
