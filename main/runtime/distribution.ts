/** Numbers of next-token distributions, in float64 from float32 logits. */

/** log Σ exp(logits), without overflow. */
export function logSumExp(logits: Float32Array): number {
  let top = -Infinity
  for (const logit of logits) if (logit > top) top = logit
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - top)
  return top + Math.log(sum)
}

/** KL(p ‖ q) in nats of the distributions that two rows of logits stand for. */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  const normP = logSumExp(p)
  const normQ = logSumExp(q)
  let sum = 0
  for (let i = 0; i < p.length; i++) {
    const logP = p[i] - normP
    const probability = Math.exp(logP)
    if (probability > 0) sum += probability * (logP - (q[i] - normQ))
  }
  // Rounding can leave a tiny negative number.
  return Math.max(0, sum)
}

/** Index of the largest; the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}
