/**
 * The mixed corpus: documents drawn afresh from a seed, families by weight, each preceded by <|endoftext|>, and cut into
 * rows of tokens without regard to where documents end. Where in this endless stream one is, is a state of a few numbers.
 */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import type { TokenBatch } from '../language-model/model'
import type { Stateful } from '../loop/types'
import { randomState, SeededRandom } from '../random'
import { families, type FamilyName } from './families'
import { end } from './world'

const lots = (Object.keys(families) as FamilyName[]).flatMap((name) =>
  Array<FamilyName>(families[name].weight).fill(name),
)

/** One document, and its family. */
export function document(random: SeededRandom): { family: FamilyName; text: string } {
  const family = random.pick(lots)
  return { family, text: families[family].draw(random) }
}

/** Documents that are encoded at once: a worker answers for all of them together. */
const documentsAtOnce = 256

const savedStream = z.object({ random: randomState, left: z.array(z.number().int().nonnegative()) })

/** The corpus as batches of token rows. */
export class CorpusStream implements Stateful {
  readonly #random: SeededRandom
  #left: number[] = []

  /** @param encode text → ids, special tokens written in the text recognised */
  constructor(
    seed: number,
    private readonly encode: (text: string) => Promise<number[]>,
  ) {
    this.#random = new SeededRandom(seed)
  }

  /** The next `rows` × (`columns` + 1) tokens. */
  async next(rows: number, columns: number): Promise<TokenBatch> {
    const count = rows * (columns + 1)
    while (this.#left.length < count) {
      const texts = Array.from({ length: documentsAtOnce }, () => end + document(this.#random).text)
      this.#left = this.#left.concat(await this.encode(texts.join('')))
    }
    const ids = Int32Array.from(this.#left.slice(0, count))
    this.#left = this.#left.slice(count)
    return { rows, columns, ids }
  }

  save() {
    return { tensors: new Map(), state: { random: this.#random.state, left: this.#left } }
  }

  restore({ state }: { state: unknown }): void {
    const parsed = savedStream.safeParse(state)
    if (!parsed.success)
      throw new PatchbayError('file.malformed', 'The checkpoint does not say where in the corpus it is.', {
        next: 'Start again without resuming.',
      })
    this.#random.state = parsed.data.random
    this.#left = parsed.data.left
  }
}
