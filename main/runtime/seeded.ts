/** A random generator from a seed, for draws that anybody can repeat. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Draws that are thrown away: until then states of like seeds are alike. */
const WARM_UP = 16

/**
 * xoroshiro128+ from a 32-bit seed. Its own seeding gives the seed's complement as the first number, near 1 for every small
 * seed; so the bits of the seed are mixed first (the finaliser of MurmurHash3, Appleby 2008).
 */
export function seededGenerator(seed: number): ReturnType<typeof xoroshiro128plus> {
  const generator = xoroshiro128plus(mixed(seed))
  for (let i = 0; i < WARM_UP; i++) generator.next()
  return generator
}

function mixed(seed: number): number {
  let hash = (seed ^ 0x9e3779b9) | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
