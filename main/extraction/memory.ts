/** How many tokens of a batch memory has room for: an estimate to begin with, which running out of memory corrects. */
import { availableMemory, BlockStack } from '../runtime'
import type { ExtractionPlan } from './plan'
import type { ExtractionModel } from './subject'

/** Of the engine process with an open tokenizer, and of each block that comes and goes. */
const ENGINE_BYTES = 150e6
/** Room for a batch unless more was measured to be there: small beside what a model takes. */
const USUAL_BYTES = 160e6
/** Under a budget, at the least: what runs are given anyway (see `forecastMemory`). */
const LEAST_BYTES = 80e6

/**
 * Bytes that a batch's activations may take.
 * @param budget of the process, weights included; null for what is free
 * @param weights bytes that stay in memory
 */
export function activationBytes(
  budget: number | null,
  weights: number,
  available = availableMemory(),
): number {
  if (budget !== null) return Math.max(LEAST_BYTES, (budget - ENGINE_BYTES - weights) * 0.7)
  // Beside a large model a larger batch costs little, as long as it is there.
  return Math.min(Math.max(USUAL_BYTES, weights / 4), Math.max(LEAST_BYTES, available / 2))
}

/** Blocks whose captures are there at once: those of one graph. */
const TOGETHER = 3

/**
 * Tokens of a batch whose activations fit into `bytes`.
 * @param longest tokens of the longest row
 */
export function tokensWithin(
  bytes: number,
  { facts, runnable }: ExtractionModel,
  plan: ExtractionPlan,
  longest: number,
): number {
  const { dModel, heads, layers } = facts
  // The insides of a block: norms, queries, keys, values, an MLP of the usual width, scores and their mask.
  const inside = 4 * (20 * dModel + (2 * heads + 1) * longest)
  const captures = plan.captureBytes(longest)
  // A graph that runs as a whole gives all of them at the end.
  const atOnce = runnable instanceof BlockStack ? Math.min(1, TOGETHER / Math.max(1, layers)) : 1
  return Math.max(1, Math.floor(bytes / (inside + captures * atOnce)))
}
