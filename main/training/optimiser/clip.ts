/** Gradients as a whole: their norm, its limit, and sums over micro-batches. */
import type { Gradients } from './parameter'

/** √Σ g² over all parameters, in float64. */
export function globalNorm(gradients: Gradients): number {
  let sum = 0
  for (const gradient of gradients.values()) {
    let own = 0
    for (let i = 0; i < gradient.length; i++) own += gradient[i] * gradient[i]
    sum += own
  }
  return Math.sqrt(sum)
}

/** What gradients of this norm are multiplied with, to be no longer than `limit` (Pascanu et al., arXiv:1211.5063). */
export const clipFactor = (norm: number, limit: number | null): number =>
  limit === null || norm <= limit ? 1 : limit / (norm + 1e-6)

/** Adds `gradients` into `sum`, or begins it with a copy. */
export function accumulated(
  sum: Map<string, Float32Array> | null,
  gradients: Gradients,
): Map<string, Float32Array> {
  if (sum === null) return new Map([...gradients].map(([name, gradient]) => [name, gradient.slice()]))
  for (const [name, gradient] of gradients) {
    const total = sum.get(name)
    if (total === undefined) sum.set(name, gradient.slice())
    else for (let i = 0; i < total.length; i++) total[i] += gradient[i]
  }
  return sum
}

/** The first parameter of which a number is not finite, or null. */
export function firstNotFinite(arrays: Gradients): string | null {
  for (const [name, data] of arrays)
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return name
  return null
}
