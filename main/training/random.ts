/**
 * Seeded random numbers whose state can be saved and restored, so that a resumed run draws what an uninterrupted one
 * would have drawn. Generator: xoroshiro128+ (pure-rand).
 */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus, xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'
import { z } from 'zod'

export const randomState = z.array(z.number().int()).length(4)
export type RandomState = z.infer<typeof randomState>

export class SeededRandom {
  #generator: ReturnType<typeof xoroshiro128plus>

  /** @param seed a 32-bit integer, or a saved state */
  constructor(seed: number | RandomState) {
    this.#generator = typeof seed === 'number' ? xoroshiro128plus(seed) : xoroshiro128plusFromState(seed)
  }

  get state(): RandomState {
    return [...this.#generator.getState()]
  }

  set state(state: RandomState) {
    this.#generator = xoroshiro128plusFromState(state)
  }

  /** Uniform in [0, 1). */
  float(): number {
    return uniformFloat64(this.#generator)
  }

  /** Uniform in from … to, both included. */
  integer(from: number, to: number): number {
    return uniformInt(this.#generator, from, to)
  }

  /** Normal with mean 0 and deviation 1, by Box and Muller's transform; the second number is not kept. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.float()))
    return radius * Math.cos(2 * Math.PI * this.float())
  }

  pick<T>(from: readonly T[]): T {
    return from[this.integer(0, from.length - 1)]
  }

  /** `count` different elements in random order. */
  sample<T>(from: readonly T[], count: number): T[] {
    const rest = [...from]
    for (let i = 0; i < count; i++) {
      const j = this.integer(i, rest.length - 1)
      ;[rest[i], rest[j]] = [rest[j], rest[i]]
    }
    return rest.slice(0, count)
  }

  /** The numbers 0 … n − 1 in random order (Fisher and Yates). */
  order(n: number): number[] {
    return this.sample(
      Array.from({ length: n }, (_, i) => i),
      n,
    )
  }
}
