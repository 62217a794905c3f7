/**
 * Rotary position embedding: inverse frequencies of every scaling type in use, in float64. Methods as in Hugging Face
 * transformers' `modeling_rope_utils` (default, linear, dynamic NTK, YaRN arXiv:2309.00071, LongRoPE arXiv:2402.13753,
 * Llama 3.1), and plain divisors as GGUF stores them.
 */

export type RopeScaling =
  | { readonly kind: 'default' }
  | { readonly kind: 'linear'; readonly factor: number }
  | { readonly kind: 'dynamic'; readonly factor: number; readonly originalLength: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalLength: number
    }
  | {
      readonly kind: 'yarn'
      readonly factor: number
      readonly originalLength: number
      readonly betaFast: number
      readonly betaSlow: number
      /** Whether the correction range is rounded to whole dimensions. */
      readonly truncate: boolean
      readonly attentionFactor: number
    }
  | {
      readonly kind: 'longrope'
      readonly shortFactor: readonly number[]
      readonly longFactor: readonly number[]
      readonly originalLength: number
      readonly attentionFactor: number
    }
  /** Inverse frequencies are divided by these (GGUF's `rope_freqs.weight`), which the checkpoint holds as a tensor. */
  | { readonly kind: 'divisors'; readonly divisors: readonly number[] }

export interface RopeSpec {
  readonly base: number
  /** Rotated dimensions of each head: its first ones. */
  readonly dim: number
  /** Pairs are (2i, 2i+1) if interleaved, else (i, i + dim/2). */
  readonly interleaved: boolean
  readonly scaling: RopeScaling
}

/**
 * Inverse frequencies [dim/2] for a sequence of `length` positions, and the factor that multiplies cos and sin. Only
 * `dynamic` and `longrope` depend on the length.
 */
export function inverseFrequencies(
  rope: RopeSpec,
  length: number,
): { frequencies: Float64Array; factor: number } {
  const { base, dim, scaling } = rope
  const plain = powers(base, dim)
  const scaled = (f: (frequency: number, i: number) => number, factor = 1) => ({
    frequencies: plain.map(f),
    factor,
  })
  switch (scaling.kind) {
    case 'default':
      return { frequencies: plain, factor: 1 }
    case 'linear':
      return scaled((frequency) => frequency / scaling.factor)
    case 'divisors':
      return scaled((frequency, i) => frequency / scaling.divisors[i])
    case 'dynamic': {
      const ratio = Math.max(length, scaling.originalLength) / scaling.originalLength
      const stretched = base * (scaling.factor * ratio - (scaling.factor - 1)) ** (dim / (dim - 2))
      return { frequencies: powers(stretched, dim), factor: 1 }
    }
    case 'llama3':
      return scaled((frequency) => llama3(frequency, scaling))
    case 'yarn': {
      const [low, high] = yarnRange(rope, scaling)
      return scaled((frequency, i) => {
        const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)))
        return (frequency / scaling.factor) * ramp + frequency * (1 - ramp)
      }, scaling.attentionFactor)
    }
    case 'longrope': {
      const divisors = length > scaling.originalLength ? scaling.longFactor : scaling.shortFactor
      return scaled((frequency, i) => frequency / divisors[i], scaling.attentionFactor)
    }
  }
}

/** Whether sequences of both lengths are rotated by the same angles, so that keys of one serve the other. */
export function sameAngles({ scaling }: RopeSpec, a: number, b: number): boolean {
  switch (scaling.kind) {
    case 'dynamic':
      return Math.max(a, scaling.originalLength) === Math.max(b, scaling.originalLength)
    case 'longrope':
      return a > scaling.originalLength === b > scaling.originalLength
    default:
      return true
  }
}

const powers = (base: number, dim: number): Float64Array =>
  Float64Array.from({ length: dim / 2 }, (_, i) => base ** ((-2 * i) / dim))

function llama3(frequency: number, scaling: Extract<RopeScaling, { kind: 'llama3' }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalLength } = scaling
  const turns = (originalLength * frequency) / (2 * Math.PI)
  if (turns > high) return frequency
  if (turns < low) return frequency / factor
  const smooth = (turns - low) / (high - low)
  return ((1 - smooth) * frequency) / factor + smooth * frequency
}

function yarnRange(
  { base, dim }: RopeSpec,
  scaling: Extract<RopeScaling, { kind: 'yarn' }>,
): [number, number] {
  const dimension = (rotations: number): number =>
    (dim * Math.log(scaling.originalLength / (rotations * 2 * Math.PI))) / (2 * Math.log(base))
  let low = dimension(scaling.betaFast)
  let high = dimension(scaling.betaSlow)
  if (scaling.truncate) {
    low = Math.floor(low)
    high = Math.ceil(high)
  }
  low = Math.max(low, 0)
  high = Math.min(high, dim - 1)
  return [low, low === high ? high + 0.001 : high]
}
