/**
 * Choosing the next token. The filters and their order are those of Hugging Face transformers: repetition penalty,
 * temperature, top-k, top-p, min-p.
 */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import type { Sampling } from '../../preload/run'
import { argmax } from './distribution'
import { seededGenerator } from './seeded'

interface Candidate {
  readonly token: number
  /** Unnormalised. */
  readonly weight: number
}

/** The sampler of one row: equal seeds and equal logits give equal tokens. */
export class Sampler {
  readonly #settings: Sampling
  readonly #random: ReturnType<typeof seededGenerator>

  constructor(settings: Sampling) {
    this.#settings = settings
    this.#random = seededGenerator(settings.seed)
  }

  /**
   * @param logits [d_vocab], not changed
   * @param seen tokens of the row so far, prompt included
   */
  next(logits: Float32Array, seen: readonly number[]): number {
    const { temperature, repetitionPenalty } = this.#settings
    const scores = penalised(logits, seen, repetitionPenalty)
    if (temperature === 0) return argmax(scores)
    const candidates = candidatesOf(scores, this.#settings)
    const total = candidates.reduce((sum, { weight }) => sum + weight, 0)
    let left = uniformFloat64(this.#random) * total
    for (const { token, weight } of candidates) {
      left -= weight
      if (left < 0) return token
    }
    return candidates[candidates.length - 1].token
  }
}

/** Logits of tokens already seen are divided by the penalty where positive, multiplied where negative. */
function penalised(logits: Float32Array, seen: readonly number[], penalty: number): Float32Array {
  if (penalty === 1) return logits
  const scores = logits.slice()
  for (const token of new Set(seen))
    scores[token] = scores[token] > 0 ? scores[token] / penalty : scores[token] * penalty
  return scores
}

/** What may be sampled, with weights exp((score − top) / temperature); most probable first where a filter sorts. */
function candidatesOf(scores: Float32Array, { temperature, topK, topP, minP }: Sampling): Candidate[] {
  const top = scores[argmax(scores)]
  const floor = topK > 0 && topK < scores.length ? kthLargest(scores, topK) : -Infinity
  let candidates: Candidate[] = []
  for (let token = 0; token < scores.length; token++) {
    const weight = scores[token] >= floor ? Math.exp((scores[token] - top) / temperature) : 0
    if (weight > 0) candidates.push({ token, weight })
  }
  if (topP < 1) candidates = nucleus(candidates, topP)
  // The most probable token has weight 1.
  return minP > 0 ? candidates.filter(({ weight }) => weight >= minP) : candidates
}

const kthLargest = (scores: Float32Array, k: number): number => scores.slice().sort()[scores.length - k]

/** The smallest set of most probable tokens whose probability reaches topP; at least one. */
function nucleus(candidates: readonly Candidate[], topP: number): Candidate[] {
  const sorted = candidates.toSorted((a, b) => b.weight - a.weight)
  const goal = topP * sorted.reduce((sum, { weight }) => sum + weight, 0)
  let reached = 0
  const end = sorted.findIndex(({ weight }) => (reached += weight) >= goal)
  return sorted.slice(0, end === -1 ? sorted.length : end + 1)
}
