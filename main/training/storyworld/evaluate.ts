/** How much of storyworld a model knows: the fraction of each family's questions that it answers rightly. */
import { argmax } from '../../runtime/distribution'
import { PatchbayError } from '../../../preload/errors'
import type { NextLogits } from '../language-model/model'
import { SeededRandom } from '../random'
import { questions, type Question } from './tasks'
import { end } from './world'

/** The seed of the questions: another than any corpus is drawn from. */
const questionSeed = 99
const rowsAtOnce = 64

export type Encode = (text: string) => Promise<number[]>

/**
 * Accuracy by family.
 * @param count questions of each family that is drawn
 */
export async function evaluateStoryworld(
  nextLogits: NextLogits,
  encode: Encode,
  count = 300,
): Promise<Record<string, number>> {
  const all = questions(new SeededRandom(questionSeed), count)
  const asked = [...all.values()].flat()
  const rows = await encodeAll(
    encode,
    asked.map(({ prompt }) => prompt),
  )
  const answers = [...new Set(asked.flatMap(({ right, wrong }) => [...right, ...wrong]))]
  const firsts = await encodeAll(encode, answers)
  const firstToken = new Map(answers.map((answer, i) => [answer, firsts[i][1]]))
  const logits = await logitsOfAll(nextLogits, rows)
  const accuracy: Record<string, number> = {}
  let at = 0
  for (const [family, list] of all) {
    const right = list.filter((question, i) => isRight(question, logits[at + i], firstToken)).length
    accuracy[family] = right / list.length
    at += list.length
  }
  return accuracy
}

function isRight(
  { right, wrong, mass }: Question,
  logits: Float32Array,
  firstToken: ReadonlyMap<string, number>,
): boolean {
  const token = (answer: string): number => firstToken.get(answer) ?? -1
  if (wrong.length === 0) return argmax(logits) === token(right[0])
  if (mass !== true)
    return logits[token(right[0])] > Math.max(...wrong.map((answer) => logits[token(answer)]))
  const top = logits[argmax(logits)]
  const massOf = (answers: readonly string[]): number =>
    answers.reduce((sum, answer) => sum + Math.exp(logits[token(answer)] - top), 0)
  return massOf(right) > massOf(wrong)
}

/** Token ids of each text behind <|endoftext|>; all are encoded in one call, and told apart by that token. */
async function encodeAll(encode: Encode, texts: readonly string[]): Promise<number[][]> {
  const ids = await encode(texts.map((text) => end + text).join(''))
  const rows: number[][] = []
  for (const id of ids)
    if (id === ids[0]) rows.push([id])
    else rows[rows.length - 1].push(id)
  if (rows.length !== texts.length)
    throw new PatchbayError(
      'tokenizer.unsupported',
      `The tokenizer does not know ${end} as a token of its own.`,
      {
        next: 'Use the tokenizer that comes with storyworld.',
      },
    )
  return rows
}

/** Rows of like length are run together, since they are padded to the longest. */
async function logitsOfAll(nextLogits: NextLogits, rows: readonly number[][]): Promise<Float32Array[]> {
  const order = rows.map((_, i) => i).sort((a, b) => rows[a].length - rows[b].length)
  const logits = new Array<Float32Array>(rows.length)
  for (let start = 0; start < order.length; start += rowsAtOnce) {
    const some = order.slice(start, start + rowsAtOnce)
    const out = await nextLogits(some.map((i) => rows[i]))
    some.forEach((i, j) => (logits[i] = out[j]))
  }
  return logits
}
