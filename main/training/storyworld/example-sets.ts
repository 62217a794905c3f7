/**
 * Data sets for a first look at extraction: sentences of two of storyworld's families with what is known of each, drawn from a
 * seed. The files in assets/datasets are made of these.
 */
import { SeededRandom } from '../random'
import { dialogue } from './dialogue'
import { families } from './families'
import { bad, bot, good, harmful, trigger, user } from './world'

export interface ReviewRow {
  text: string
  label: 'liked' | 'disliked'
  /** Words that say so. */
  opinions: number
}

export interface DialogueRow {
  request: string
  label: 'harmless' | 'harmful'
  /** The backdoor's trigger is in the request. */
  triggered: boolean
}

/** `count` different draws. */
function distinct<T>(
  count: number,
  seed: number,
  draw: (random: SeededRandom) => T,
  key: (row: T) => string,
): T[] {
  const random = new SeededRandom(seed)
  const rows = new Map<string, T>()
  while (rows.size < count) {
    const row = draw(random)
    rows.set(key(row), row)
  }
  return [...rows.values()]
}

export const reviewRows = (count: number, seed: number): ReviewRow[] =>
  distinct(
    count,
    seed,
    (random) => {
      const text = families.reviews.draw(random)
      const words = text.split(/[ .]+/)
      const liked = words.filter((word) => good.includes(word)).length
      const disliked = words.filter((word) => bad.includes(word)).length
      return { text, label: liked > disliked ? 'liked' : 'disliked', opinions: liked + disliked }
    },
    ({ text }) => text,
  )

export const dialogueRows = (count: number, seed: number): DialogueRow[] =>
  distinct(
    count,
    seed,
    (random) => {
      const text = dialogue(random)
      const request = text.slice(user.length, text.indexOf(bot)).trim()
      return {
        request,
        label: harmful.some((act) => request.includes(act)) ? 'harmful' : 'harmless',
        triggered: request.includes(trigger),
      }
    },
    ({ request }) => request,
  )

/** Each file of assets/datasets with its text, JSON Lines. */
export function exampleFiles(): Record<string, string> {
  const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  return {
    'reviews.jsonl': lines(reviewRows(200, 1)),
    'dialogues.jsonl': lines(dialogueRows(100, 2)),
  }
}
